"""lm-evaluation-harness on our engines: any of its tasks, by name or as a file of one's own.

`lm_eval` is an optional extra (`pip install javis[eval]`), so only what runs a task imports this.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM
from lm_eval.evaluator import evaluate
from lm_eval.tasks import TaskManager

from javis.core.errors import ContextOverflow, UserInputError
from javis.core.evaluation import Likelihood
from javis.core.protocols import Engine
from javis.core.types import BASE, EngineInfo, Message, SamplingParams
from javis.eval.harness_results import Row

SEED = 1234
"""The harness's own for few-shot examples."""
BOOTSTRAP = 1000
"""Resamples, where a metric has no formula for its error."""
DEFAULT_TOKENS = 256
"""Written when a task sets no limit; that of the harness."""
_MOST_STOPS = 16
_CHAT = "\ue000chat:"
"""Marks a context that holds messages: the harness hands contexts around as text."""
Prompt = list[Message] | str
_T = TypeVar("_T")


class EngineLM(LM):  # type: ignore[misc]  # lm_eval comes without types
    """One version of an engine, as the harness sees a model. It answers greedily."""

    def __init__(
        self,
        engine: Engine,
        version: str = BASE,
        *,
        workers: int = 1,
        progress: Callable[[int, int], None] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        super().__init__()
        self._engine = engine
        self._version = version
        self._workers = workers
        self._progress = progress
        self._stop = stop
        self.shortened = 0
        """Contexts whose beginning was left out, as they did not fit."""

    def loglikelihood(self, requests: Sequence[Instance], **_: Any) -> list[tuple[float, bool]]:
        """How likely each continuation is after its context.

        An engine does not say whether it would write the continuation by itself. One that is
        more likely than all others together surely would be; the rest counts as not, and tasks
        that would be marked by this are refused by `run`.
        """

        def one(context: str, continuation: str) -> tuple[float, bool]:
            nll = self._score(_prompt(context), continuation).nll
            return -nll, nll < math.log(2)

        return self._all(one, requests)

    def loglikelihood_rolling(self, requests: Sequence[Instance], **_: Any) -> list[float]:
        """How likely each text is. One that does not fit is weighed in halves, each alone."""

        def one(text: str) -> float:
            try:
                return -self._engine.score("", text, self._version, self._stop).nll
            except ContextOverflow:
                cut = text.rfind(" ", 1, len(text) // 2 + 1)
                cut = cut if cut > 0 else len(text) // 2
                return one(text[:cut]) + one(text[cut:])

        return self._all(one, requests)

    def generate_until(self, requests: Sequence[Instance], **_: Any) -> list[str]:
        """The answer to each context, up to a stop text. A context that is plain text is asked as
        a user's message: our engines chat."""
        return self._all(self._generate, requests)

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The engine renders messages itself; here they only travel as text."""
        return _CHAT + json.dumps(chat_history, ensure_ascii=False)

    @property
    def tokenizer_name(self) -> str:
        return self._engine.info.model

    def _generate(self, context: str, options: Mapping[str, Any]) -> str:
        stops = options.get("until") or []
        stops = [s for s in ([stops] if isinstance(stops, str) else stops) if s]
        sampling = SamplingParams(
            temperature=float(options.get("temperature", 0)) if options.get("do_sample") else 0,
            top_p=1,
            max_tokens=int(options.get("max_gen_toks", DEFAULT_TOKENS)),
            seed=SEED,
            stop=tuple(s for s in stops if len(s) <= 200)[:_MOST_STOPS],
        )
        prompt = _prompt(context)
        messages = [Message("user", prompt)] if isinstance(prompt, str) else prompt
        # Engines take no beginning of an answer; the model has to find its own.
        messages = messages[:-1] if messages[-1].role == "assistant" else messages
        text = self._fitted(messages, lambda fitting: self._answer(fitting, sampling))
        for stop in stops:
            text = text.split(stop)[0]
        return text

    def _answer(self, messages: Prompt, sampling: SamplingParams) -> str:
        assert not isinstance(messages, str)
        with closing(self._engine.stream(messages, sampling, self._version, self._stop)) as chunks:
            return "".join(chunk.text for chunk in chunks)

    def _score(self, prompt: Prompt, continuation: str) -> Likelihood:
        if not isinstance(prompt, str):
            begun = prompt.pop().content if prompt[-1].role == "assistant" else ""
            # The beginning is weighed with every choice alike.
            continuation = (begun + continuation).lstrip()
        return self._fitted(
            prompt, lambda p: self._engine.score(p, continuation, self._version, self._stop)
        )

    def _fitted(self, prompt: Prompt, ask: Callable[[Prompt], _T]) -> _T:
        """Ask; leave out of the beginning what does not fit, as the harness's own models do."""
        shortened = 0
        while True:
            try:
                return ask(prompt)
            except ContextOverflow as error:
                shorter = _shortened(prompt, error)
                if shorter is None:
                    raise
                self.shortened += not shortened
                shortened += 1
                prompt = shorter

    def _all(self, one: Callable[..., _T], requests: Sequence[Instance]) -> list[_T]:
        found: list[_T] = []
        with ThreadPoolExecutor(max(1, self._workers), "harness") as pool:
            try:
                for result in pool.map(lambda request: one(*request.args), requests):
                    found.append(result)
                    if self._progress:
                        self._progress(len(found), len(requests))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return found


def run(
    lm: EngineLM,
    tasks: Sequence[str],
    *,
    folder: Path | None = None,
    limit: int | None = None,
    chat: bool = False,
) -> list[Row]:
    """Run tasks of the harness, or YAML files of tasks; `folder` holds more tasks.

    `limit` takes the first so many items of each, `chat` puts contexts into the model's chat
    template. Raises UserInputError for tasks that are unknown, that cannot be had (their data is
    downloaded when they run), or that need what our engines do not tell.
    """
    only_files = all(Path(task).suffix in (".yaml", ".yml") for task in tasks)
    # Reading its thousands of tasks takes seconds; files of one's own need none of them.
    manager = TaskManager(include_path=folder, include_defaults=not only_files)
    loaded = _loaded(manager, tasks)
    for task in loaded["tasks"].values():
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=SEED)
    # Not the harness's `simple_evaluate`: it looks the whole computer over for its log.
    found = evaluate(
        lm=lm,
        task_dict=loaded,
        limit=limit,
        apply_chat_template=chat,
        fewshot_as_multiturn=chat,
        log_samples=False,
        bootstrap_iters=BOOTSTRAP,
    )
    return list(rows_of(found))


def rows_of(found: Mapping[str, Any]) -> Iterable[Row]:
    """The numbers in what the harness returns; a group's stand beside those of its tasks."""
    for task, values in found["results"].items():
        items = found.get("n-samples", {}).get(task, {}).get("effective", 0)
        items = items or values.get("sample_len", 0) or 0
        for name, value in values.items():
            metric, _, kind = name.partition(",")
            if not kind or metric.endswith("_stderr") or not isinstance(value, (int, float)):
                continue
            error = values.get(f"{metric}_stderr,{kind}")
            known = isinstance(error, (int, float)) and math.isfinite(error)
            named = metric if kind == "none" else f"{metric} ({kind})"
            yield Row(task, named, float(value), float(error) if known else None, int(items))


def as_json(found: Mapping[str, Iterable[Row]], info: EngineInfo) -> str:
    """Rows by version, with what answered."""
    asked = {"engine": info.engine, "model": info.model, "quantization": info.quantization}
    rows = [{"version": name, **asdict(row)} for name, rows in found.items() for row in rows]
    whole = {**asked, "lm_eval": version("lm_eval"), "results": rows}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _loaded(manager: TaskManager, names: Sequence[str]) -> dict[str, Any]:
    """The tasks, and the groups that some of the names stand for."""
    for name in names:
        if name not in manager.all_tasks and not Path(name).is_file():
            raise UserInputError("no_harness_task", "The harness has no task {name}.", name=name)
    try:
        found: dict[str, Any] = manager.load(list(names))
    # Tasks run code of their own and download through several libraries.
    except Exception as error:
        raise UserInputError(
            "harness_task_failed",
            "The task {name} could not be loaded: {why}",
            name=", ".join(names),
            why=(str(error).strip().splitlines() or [type(error).__name__])[0],
        ) from error
    for name, task in found["tasks"].items():
        if task.get_config("output_type") == "loglikelihood":
            raise UserInputError(
                "harness_task_greedy",
                "The task {name} asks whether the model would write a text by itself, which our "
                "engines do not tell.",
                name=name,
            )
    return found


def _prompt(context: str) -> Prompt:
    if not context.startswith(_CHAT):
        return context
    # The harness may write the beginning of the answer right behind.
    rows, end = json.JSONDecoder().raw_decode(context, len(_CHAT))
    begun = context[end:]
    messages = [Message(row["role"], row["content"]) for row in rows]
    return [*messages, Message("assistant", begun)] if begun.strip() else messages


def _shortened(prompt: Prompt, error: ContextOverflow) -> Prompt | None:
    """Without so much of the beginning as is too long; None when nothing is left to leave out."""
    if isinstance(prompt, str):
        keep = int(len(prompt) * error.limit / error.tokens * 0.95) if error.tokens else 0
        return prompt[-keep:] if 0 < keep < len(prompt) else None
    if len(prompt) > 2:
        # The first example of a few-shot conversation, but not the system prompt.
        first = 1 if prompt[0].role == "system" else 0
        return [*prompt[:first], *prompt[first + 2 :]] if len(prompt) - first > 2 else None
    text = _shortened(prompt[-1].content, error)
    return None if text is None else [*prompt[:-1], Message(prompt[-1].role, str(text))]
