"""All use cases, handed as one to the page, the routes and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from javis.core.evaluation import Suite, SuiteName
from javis.core.protocols import Engine, Pausable
from javis.core.sentence import Sentence
from javis.core.settings import Settings
from javis.core.types import Version
from javis.knowledge.embedder import SentenceEmbedder
from javis.knowledge.nearest import VectorCache
from javis.service.admin import AdminService
from javis.service.admission import Admission
from javis.service.answerer import Answerer
from javis.service.arena import ArenaService
from javis.service.chat import ChatService
from javis.service.compare import CompareService
from javis.service.compare_scores import Scores
from javis.service.compare_sources import Sources
from javis.service.completions import CompletionService
from javis.service.dashboard import Dashboard
from javis.service.evaluation import EvalService
from javis.service.examining import Examiner
from javis.service.export import ExportService
from javis.service.feedback import FeedbackService
from javis.service.golden import GoldenService
from javis.service.learning import Learning, join_learning
from javis.service.library import Library
from javis.service.own_suites import OwnSuites, judge_of
from javis.service.preferences import Preferences
from javis.service.recall import Recall
from javis.service.review import ReviewService, control_tokens_of
from javis.service.schedule import Schedule
from javis.service.training import TrainingService
from javis.service.training_plan import TrainBase
from javis.service.versions import VersionService
from javis.store import Store
from javis.train.supervisor import Supervisor
from javis.versions.publish import Publisher
from javis.versions.registry import Registry


@dataclass(frozen=True, slots=True)
class Services:
    settings: Settings
    chat: ChatService
    library: Library
    feedback: FeedbackService
    completions: CompletionService
    preferences: Preferences
    recall: Recall
    versions: VersionService
    admin: AdminService
    review: ReviewService
    golden: GoldenService
    export: ExportService
    training: TrainingService
    schedule: Schedule
    learning: Learning
    compare: CompareService
    evaluation: EvalService
    dashboard: Dashboard
    arena: ArenaService


def join(
    settings: Settings,
    store: Store,
    engine: Engine,
    registry: Registry,
    pinned: Version | None = None,
    why: Sequence[Sentence] = (),
    *,
    base: TrainBase | None = None,
    publisher: Publisher | None = None,
    supervisor: Supervisor | None = None,
    chat_room: Pausable | None = None,
) -> Services:
    """The services over a store and an engine, whichever they are.

    `pinned` is the adapter of ADAPTER_PATH; `why` says why this engine and model were picked;
    `base` is what is trained, None when the model that is running cannot be; `chat_room` lets the
    chat's model make room for that.
    """
    preferences = Preferences(store, engine.info.sampling)
    vectors = VectorCache(settings.data_dir / "cache" / "questions.npz", SentenceEmbedder())
    recall = Recall(store, preferences, vectors)
    recall.learn()
    review = ReviewService(store, preferences, control_tokens_of(engine))
    publisher = publisher or Publisher(registry.models_dir)
    versions = VersionService(engine, registry, pinned, store=store, publisher=publisher)
    supervisor = supervisor or Supervisor(settings.data_dir / "runs")
    admission = Admission(engine.info.parallel, settings.queue)
    golden = GoldenService(store, review)
    own = OwnSuites(store, review, golden, preferences, judge_of(settings))
    suites = own.beside(public_suites)
    evaluation = EvalService(engine, versions, admission, settings.data_dir / "eval", suites)
    learning = join_learning(
        settings,
        store,
        review,
        preferences,
        versions,
        base,
        publisher,
        supervisor,
        chat_room,
        Examiner(lambda: nullcontext(evaluation)),
        engine.count_tokens,
    )
    answerer = Answerer(engine, store, versions, preferences, admission, recall)
    completions = CompletionService(engine, store, versions, answerer)
    chat = ChatService(store, answerer, recall)
    sources = Sources(versions, registry, store.jobs, supervisor, lambda: versions.refused)
    return Services(
        settings=settings,
        chat=chat,
        library=Library(store, answerer, recall),
        feedback=FeedbackService(store, review, recall),
        completions=completions,
        preferences=preferences,
        recall=recall,
        versions=versions,
        admin=AdminService(engine, store, versions, why),
        review=review,
        golden=golden,
        export=ExportService(store, review, settings.exports_dir),
        training=learning.training,
        schedule=learning.schedule,
        learning=learning,
        compare=CompareService(
            sources,
            review,
            preferences,
            settings.exports_dir,
            scores=Scores(settings.data_dir / "eval", suites),
            completions=completions,
        ),
        evaluation=evaluation,
        dashboard=Dashboard(store, versions, review, learning.training),
        arena=ArenaService(store, chat, answerer, versions, preferences),
    )


def public_suites() -> dict[SuiteName, Suite]:
    """The suites that need nothing of the user's; their data are read when they are first asked."""
    from javis.eval.suites import suites  # reads its data files

    return suites()
