"""The parts of the training loop, joined: for the server, and for the command line without one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from javis.core.protocols import Pausable
from javis.core.settings import Settings
from javis.engine.catalog import Choice
from javis.engine.convert import dense_path
from javis.service.examining import Examiner
from javis.service.outcome import Outcome, Shelf
from javis.service.preferences import Preferences
from javis.service.repeating import Repeating
from javis.service.run_counts import CountTokens
from javis.service.run_keeper import WATCH_S, RunKeeper
from javis.service.schedule import LOOK_S, Schedule
from javis.service.training import TrainingService
from javis.service.training_plan import Planner, Source, TrainBase
from javis.store import Store
from javis.train.supervisor import Supervisor
from javis.versions.publish import Publisher


@dataclass(frozen=True, slots=True)
class Learning:
    """Training, and what goes on by itself while the program runs."""

    training: TrainingService
    schedule: Schedule
    keeper: RunKeeper
    examiner: Examiner | None = None

    def watchers(self) -> list[Repeating | Examiner]:
        """What a server starts and, at its end, stops; a run goes on without them."""
        return [
            # The first to be stopped: the next one waits for what it is doing.
            *([self.examiner] if self.examiner else []),
            Repeating("training", WATCH_S, self.keeper.tick),
            Repeating("schedule", LOOK_S, self.schedule.tick),
        ]


def train_base(choice: Choice, path: Path) -> TrainBase:
    """What is trained of the model that is served.

    `path` is the file or folder that `choice` led to (`catalog.obtain`).
    """
    is_gguf = choice.engine == "llamacpp"
    return TrainBase(
        model=choice.model.id,
        path=dense_path(path) if is_gguf else path,
        gguf=path if is_gguf else None,
        quantization=choice.quantization,
        device=choice.device,
        parameters=choice.model.parameters or _parameters(path),
    )


def _parameters(path: Path) -> int:
    """About how many weights there are, from the size of the files: 16 bits each."""
    files = [path] if path.is_file() else path.glob("*.safetensors")
    return max(1, sum(file.stat().st_size for file in files) // 2)


def join_learning(
    settings: Settings,
    store: Store,
    source: Source,
    preferences: Preferences,
    versions: Shelf,
    base: TrainBase | None,
    publisher: Publisher,
    supervisor: Supervisor | None = None,
    chat: Pausable | None = None,
    examiner: Examiner | None = None,
    count_tokens: CountTokens | None = None,
) -> Learning:
    """`base` None: the model that is running cannot be trained. `chat` makes room when asked;
    `examiner` asks the suites of the gate; `count_tokens` is that of the model, where it is loaded.
    """
    runs_dir = settings.data_dir / "runs"
    supervisor = supervisor or Supervisor(runs_dir)
    rule = settings.data_dir / "gate.json"
    model = base.model if base else None
    outcome = Outcome(store, supervisor, publisher, versions, preferences, rule, examiner, model)
    keeper = RunKeeper(store, supervisor, outcome, chat)
    planner = Planner(
        store,
        source,
        preferences,
        versions,
        base,
        runs_dir,
        chat=chat,
        count_tokens=count_tokens,
    )
    training = TrainingService(
        store, supervisor, planner, outcome, keeper, settings.exports_dir, chat
    )
    schedule = Schedule(training, planner, store, preferences)
    return Learning(training, schedule, keeper, examiner)
