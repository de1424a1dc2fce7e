"""The user's own data as suites: rows that were held out, golden turns, disliked answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping

from javis.core.evaluation import Suite, SuiteName
from javis.core.learning import Approved, Example, ReviewRow
from javis.core.settings import Settings
from javis.dataset import pii
from javis.eval.judge import ChatModel, Judge, PairJudge
from javis.eval.suites.own import AnswerSuite, HeldOutSuite, OwnRow
from javis.service.golden import GoldenService
from javis.service.preferences import Preferences
from javis.service.review import MAX_PAGE, ReviewFilters, ReviewService
from javis.service.run_files import divide, from_approved
from javis.store import Store

Suites = Callable[[], Mapping[SuiteName, Suite]]
SEEN, UNSEEN = "may_be_learned", "never_learned"
"""The groups: a version that was trained on a question has an easy time with it."""


def own_suites(
    review: ReviewService, golden: GoldenService, judge: Judge | None = None
) -> dict[SuiteName, Suite]:
    """The suites of what the user said, as of now. A suite may have no questions yet."""
    approved = review.approved()
    held_out = HeldOut(approved)
    disliked = {row.turn_id: row for row in _disliked(review)}
    suites: list[Suite] = [
        HeldOutSuite([_held_row(example) for example in held_out.examples]),
        AnswerSuite(
            "golden",
            [
                OwnRow(r.turn_id, r.prompt, r.wanted, r.reply, held_out.group(r.conversation_id))
                for r in golden.rows()
            ],
            judge,
        ),
        AnswerSuite(
            "thumbs-down",
            [
                OwnRow(r.turn_id, r.prompt, r.target, r.reply, held_out.group(r.conversation_id))
                for r in disliked.values()
            ],
            judge,
        ),
    ]
    return {suite.name: suite for suite in suites}


class HeldOut:
    """What training keeps apart, by the same split as its own."""

    def __init__(self, approved: Approved) -> None:
        data = from_approved("sft-lora", approved)
        parts = divide(data)
        self._learned = {row["conversation_id"] for row in parts.train}
        # Pairs and thumbs are split by themselves; of what any of them learns, nothing is unseen.
        for method in ("dpo", "kto"):
            others = divide(from_approved(method, approved)).train
            self._learned |= {row["conversation_id"] for row in others}
        apart = {row["turn_id"] for row in (*parts.valid, *parts.test)}
        self.examples = [
            example
            for example in approved.examples
            if example.turn_id in apart and example.conversation_id not in self._learned
        ]

    def group(self, conversation_id: str) -> str:
        return SEEN if conversation_id in self._learned else UNSEEN


class OwnSuites:
    """Made anew only when something was said, rated, reviewed or marked since."""

    def __init__(
        self,
        store: Store,
        review: ReviewService,
        golden: GoldenService,
        preferences: Preferences,
        judge: Judge | None = None,
    ) -> None:
        self._store = store
        self._review = review
        self._golden = golden
        self._preferences = preferences
        self._judge = judge
        self._lock = threading.Lock()
        self._state: object = None
        self._made: Mapping[SuiteName, Suite] = {}

    def __call__(self) -> dict[SuiteName, Suite]:
        with self._lock:
            state = (
                self._store.reviews.learning_revision,
                self._store.golden.revision,
                self._preferences.review_everything(),
            )
            if state != self._state:
                self._made = own_suites(self._review, self._golden, self._judge)
                self._state = state
            return dict(self._made)

    def beside(self, others: Suites) -> Suites:
        """These and the others, anew at each call."""
        return lambda: {**others(), **self()}


def judge_of(settings: Settings) -> Judge | None:
    """The judge of the settings; None without one. Nothing is asked yet."""
    if not settings.judge_url or not settings.judge_model:
        return None
    key = settings.judge_key.get_secret_value() if settings.judge_key else ""
    model = ChatModel(settings.judge_url, settings.judge_model, key, settings.offline)
    return PairJudge(f"{settings.judge_model} {settings.judge_url}", model, pii.mask)


def _disliked(review: ReviewService) -> Iterator[ReviewRow]:
    """Answers with a thumb down, but for those that a reviewer put aside."""
    filters = ReviewFilters(rating="bad")
    offset = 0
    while True:
        page = review.page(filters, offset, MAX_PAGE)
        yield from (row for row in page.rows if row.status != "excluded")
        offset += len(page.rows)
        if not page.rows or offset >= page.total:
            return


def _held_row(example: Example) -> OwnRow:
    *prompt, answer = example.messages
    return OwnRow(example.turn_id, tuple(prompt), answer.content, "", example.source)
