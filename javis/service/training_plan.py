"""What to train, with which values, and what it would take."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from javis.core.errors import TrainError, UserInputError
from javis.core.learning import METHODS, Approved, Method
from javis.core.protocols import Pausable
from javis.core.types import BASE, Version
from javis.engine.hardware import Hardware, detect
from javis.engine.models import same_model
from javis.service.outcome import Shelf
from javis.service.preferences import Preferences
from javis.service.run_counts import CountTokens, count, counts_of, languages, tokens_of
from javis.service.run_files import Row, RunData, from_approved
from javis.store import Store
from javis.train import recommend
from javis.train.config import RANGES, USED, Hyperparameters, TrainConfig
from javis.train.estimate import Estimate, estimate

__all__ = ["Estimate", "Form", "Planner", "Proposal", "TrainBase"]
_SEED = 0
_RESERVE_BYTES = 500 << 20
"""Disk that a run leaves free: the journal must be able to grow."""


@dataclass(frozen=True, slots=True)
class TrainBase:
    """The base model to train, as the running program chose it."""

    model: str
    """The id stored with answers and versions."""
    path: Path
    """The transformers folder with dense weights; made of `gguf` when it is not there."""
    gguf: Path | None
    quantization: str
    device: Literal["cpu", "cuda"]
    parameters: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """The method that suits what was approved."""

    method: Method
    why: str
    """Code of the reason; `values` fill its sentence."""
    values: Mapping[str, Any]
    counts: Mapping[str, int]
    """examples, pairs, judged, liked, disliked, conversations."""
    missing: Mapping[str, int]
    """By method: how many rows are still needed; 0 when it can start."""
    languages: tuple[str, ...] = ()
    first_at: str = ""
    last_at: str = ""


def thumbs_needed() -> dict[str, int]:
    """How many rated answers KTO needs at least, and how many of them of each kind."""
    return {"need": recommend.MINIMUM["kto"], "each": recommend.KTO_EACH}


@dataclass(frozen=True, slots=True)
class Form:
    """What the form of a method begins with."""

    method: Method
    preset: str
    values: Mapping[str, Any]
    ranges: Mapping[str, Any]
    presets: Sequence[str] = field(default_factory=tuple)


class Source(Protocol):
    """Where the approved rows come from (ReviewService)."""

    def approved(self) -> Approved: ...


class Planner:
    """Turns what is asked for into a run's configuration, or says why not."""

    def __init__(
        self,
        store: Store,
        source: Source,
        preferences: Preferences,
        versions: Shelf,
        base: TrainBase | None,
        runs_dir: Path,
        look: Callable[[], Hardware] | None = None,
        chat: Pausable | None = None,
        count_tokens: CountTokens | None = None,
    ) -> None:
        """`count_tokens` None: no model is loaded, and tokens are counted roughly."""
        self._store = store
        self._source = source
        self._preferences = preferences
        self._versions = versions
        self._base = base
        self._runs_dir = runs_dir
        self._look = look or detect
        self._chat = chat
        self._count_tokens = count_tokens
        self._lock = threading.Lock()
        self._collected: tuple[Hashable, Approved] | None = None

    def approved(self) -> Approved:
        """All that may be learned from, as of now; collected anew only after a change."""
        now = self.revision
        with self._lock:
            if self._collected is None or self._collected[0] != now:
                self._collected = now, self._source.approved()
            return self._collected[1]

    @property
    def revision(self) -> Hashable:
        """Differs when what is approved may have changed."""
        return self._store.reviews.learning_revision, self._preferences.review_everything()

    def propose(self) -> Proposal:
        """The method that suits what was approved, and why."""
        approved = self.approved()
        counts = count(approved)
        method, why, values = recommend.propose(counts, four_bits=self._four_bits)
        return Proposal(
            method=method,
            why=why,
            values=values,
            counts=counts,
            missing={m: recommend.missing(m, counts) for m in METHODS},
            languages=languages(approved),
            first_at=approved.first_at,
            last_at=approved.last_at,
        )

    def form(self, method: Method, preset: str) -> Form:
        """Raises UserInputError for a preset that is not there."""
        if preset not in recommend.PRESETS:
            raise UserInputError(
                "no_train_preset", "There is no preset '{name}'.", name=str(preset)[:40]
            )
        rows = len(from_approved(method, self.approved()).rows)
        chosen = recommend.preset(preset, self._recommended(method, rows))
        values = {name: value for name, value in chosen.plain().items() if name in USED[method]}
        ranges = {name: asdict(RANGES[name]) for name in USED[method]}
        return Form(method, preset, values, ranges, tuple(recommend.PRESETS))

    def config(
        self,
        job_id: str,
        method: Method,
        given: Mapping[str, Any] | None,
        base_model: str | None,
        data: RunData,
        *,
        current: Version | None,
        dry_run: bool,
    ) -> TrainConfig:
        """`current` is the version that the run is held against (see `in_use`).

        Raises UserInputError for values out of range, TrainError without a base to train."""
        base = self._require_base(base_model)
        recommended = self._recommended(method, len(data.rows))
        return TrainConfig(
            id=job_id,
            method=method,
            base_model=base.model,
            base_path=str(base.path),
            quantization="4bit" if method == "sft-qlora" else "auto",
            device=base.device,
            seed=_SEED,
            hyperparameters=Hyperparameters.parse(given or {}, recommended),
            current_adapter=current.path if current else None,
            dry_run=dry_run,
        )

    def in_use(self) -> Version | None:
        """The version that answers now; None for the base."""
        name = self._versions.current()
        found = (version for version in self._versions.all() if version.name == name != BASE)
        return next(found, None)

    def require_enough(self, method: Method, data: RunData) -> None:
        """Raises NotEnoughData with the missing number."""
        recommend.require_enough(method, counts_of(method, data.rows))

    def estimate(
        self,
        method: Method,
        given: Mapping[str, Any] | None,
        data: RunData,
        train: Sequence[Row],
        asking_s: float = 0.0,
        *,
        tried_out: bool = False,
    ) -> Estimate:
        """What a run on these training rows would take; see `javis.train.estimate` for the rest."""
        base = self._require_base(None)
        hyper = Hyperparameters.parse(given or {}, self._recommended(method, len(data.rows)))
        found = self._estimate(method, hyper, base, train, asking_s, tried_out=tried_out)
        on_card = base.device == "cuda"
        return replace(found, pauses_chat=on_card and self._pause_helps(found.memory_bytes))

    def check(self, config: TrainConfig, train: Sequence[Row]) -> bool:
        """Whether the chat has to make room on the graphics card for this run.

        Raises TrainError when it would not fit into memory or on the disk even so.
        """
        base = self._require_base(None)
        needed = self._estimate(config.method, config.hyperparameters, base, train)
        on_card = config.device == "cuda"
        pauses = on_card and self._pause_helps(needed.memory_bytes)
        if not pauses:
            self._check_memory(needed.memory_bytes, on_card=on_card)
        self._check_disk(base, needed.disk_bytes)
        return pauses

    def _pause_helps(self, needed: int) -> bool:
        """A card that is too full with the chat's model on it, and large enough without."""
        free = self._look().vram_free
        return self._chat is not None and free < needed <= free + self._chat.held_bytes()

    def _check_memory(self, needed: int, *, on_card: bool) -> None:
        found = self._look()
        free = found.vram_free if on_card else found.ram_available
        if needed <= free:
            return
        if on_card:
            raise TrainError(
                "train_card_low",
                "Training needs about {need} GB of graphics memory beside the chat, and {free} GB "
                "are free. Take a smaller batch, shorter rows or four bits.",
                need=_gb(needed),
                free=_gb(free),
            )
        raise TrainError(
            "train_memory_low",
            "Training needs about {need} GB of memory beside the chat, and {free} GB are free. "
            "Take a smaller batch or shorter rows, or close other programs.",
            need=_gb(needed),
            free=_gb(free),
        )

    def _check_disk(self, base: TrainBase, needed: int) -> None:
        if base.gguf and not base.path.exists():
            # The dense copy that is made first, with 32 bits a weight.
            needed += base.parameters * 4
        folder = self._runs_dir
        while not folder.exists():
            folder = folder.parent
        free = shutil.disk_usage(folder).free - _RESERVE_BYTES
        if needed > free:
            raise TrainError(
                "train_disk_low",
                "Training needs about {need} GB on the disk, and {free} GB are free.",
                need=_gb(needed),
                free=_gb(max(0, free)),
            )

    def _estimate(
        self,
        method: Method,
        hyper: Hyperparameters,
        base: TrainBase,
        train: Sequence[Row],
        asking_s: float = 0.0,
        *,
        tried_out: bool = False,
    ) -> Estimate:
        return estimate(
            method,
            hyper,
            rows=len(train),
            tokens=tokens_of(train, hyper.max_length, self._count_tokens),
            model_params=base.parameters,
            device=base.device,
            speed=self._speed(base, method),
            prices=self._preferences.prices(),
            bits=4 if method == "sft-qlora" else 16 if base.device == "cuda" else 32,
            asking_s=asking_s,
            tried_out=tried_out,
        )

    def _speed(self, base: TrainBase, method: Method) -> float | None:
        """Tokens a second that the newest run of this kind reached here, as the trainer counts."""
        for job in self._store.jobs.all():
            same = job.method == method and same_model(job.base_model, base.model)
            if same and not job.dry_run and job.took.get("seconds") and job.took.get("tokens"):
                return float(job.took["tokens"]) / float(job.took["seconds"])
        return None

    def _recommended(self, method: Method, rows: int) -> Hyperparameters:
        base = self._require_base(None)
        return recommend.recommended(method, base.parameters, rows, base.device)

    @property
    def _four_bits(self) -> bool:
        """Whether the base is on the card with four bits, as more would not fit."""
        base = self._base
        return base is not None and base.device == "cuda" and base.quantization == "4bit"

    def _require_base(self, asked: str | None) -> TrainBase:
        if self._base is None:
            raise TrainError("no_train_base", "The model that is running cannot be trained.")
        if asked and not same_model(asked, self._base.model):
            raise UserInputError(
                "other_base",
                "The model that is running is trained, {model}. To train {asked}, start JAVIS "
                "with it.",
                model=self._base.model,
                asked=asked[:100],
            )
        return self._base


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f}"
