"""lm-evaluation-harness on our engines, with tasks of our own: nothing is downloaded."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from javis.commands.harness import ask, table
from javis.core.errors import ContextOverflow, UserInputError
from javis.core.evaluation import Likelihood
from javis.core.types import BASE, Message, SamplingParams
from javis.engine.scripted import ScriptedEngine

pytestmark = pytest.mark.extras

CHOICES = """\
task: javis_colours
dataset_path: json
dataset_kwargs:
  data_files: {{test: "{data}"}}
  cache_dir: "{cache}"
test_split: test
output_type: multiple_choice
doc_to_text: "Question: {{{{question}}}}\\nAnswer:"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: gold
metric_list:
  - metric: acc
  - metric: acc_norm
metadata: {{version: 1.0}}
"""
WRITTEN = """\
task: javis_sums
dataset_path: json
dataset_kwargs:
  data_files: {{test: "{data}"}}
  cache_dir: "{cache}"
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n", "."], max_gen_toks: 8}}
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
metadata: {{version: 1.0}}
"""
WHOLE = """\
task: javis_text
dataset_path: json
dataset_kwargs:
  data_files: {{test: "{data}"}}
  cache_dir: "{cache}"
test_split: test
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{{{text}}}}"
metric_list:
  - metric: bits_per_byte
metadata: {{version: 1.0}}
"""
COLOURS = [
    {"question": "Grass is", "choices": ["green", "loud"], "gold": 0},
    {"question": "Snow is", "choices": ["loud", "white"], "gold": 1},
    {"question": "Blood is", "choices": ["loud", "quiet", "red"], "gold": 2},
    {"question": "Coal is", "choices": ["loud", "black"], "gold": 0},
]
"""The last one is marked wrong on purpose."""
SUMS = [{"question": f"{n} + {n}", "answer": str(2 * n)} for n in range(1, 7)]


@pytest.fixture(autouse=True)
def _others_warnings() -> Iterator[None]:
    """The harness and what it builds on are not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def task_file(folder: Path, text: str, rows: Sequence[dict[str, object]]) -> str:
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    path = folder / "task.yaml"
    path.write_text(text.format(data=data.as_posix(), cache=(folder / "cache").as_posix()), "utf-8")
    return str(path)


class Weighing(ScriptedEngine):
    """Finds everything likely but what is loud or quiet; keeps what it was asked."""

    asked: list[tuple[Sequence[Message] | str, str]]

    def score(  # type: ignore[no-untyped-def]
        self, prompt: Sequence[Message] | str, answer: str, version: str = BASE, stop=None
    ) -> Likelihood:
        self.__dict__.setdefault("asked", []).append((prompt, answer))
        unlikely = version == BASE or any(word in answer for word in ("loud", "quiet"))
        return Likelihood(20.0 if unlikely else 1.0, 1)


def adds(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
    left, _, right = messages[-1].content.rpartition("\n")[2].split()
    total = int(left) + int(right) + (version == BASE)
    return f"{total}\nand some more."


def test_choices_are_weighed(tmp_path: Path) -> None:
    said: list[str] = []
    engine = Weighing(versions=["v1.0"])
    path = task_file(tmp_path, CHOICES, COLOURS)
    found = ask(engine, ["v1.0"], [path], said.append, json_file=tmp_path / "out.json")
    rows = {row.metric: row for row in found["v1.0"]}
    assert rows["acc"].value == 0.75
    assert rows["acc"].items == 4
    assert rows["acc"].error == pytest.approx(math.sqrt(0.75 * 0.25 / 3))
    assert ("Question: Grass is\nAnswer:", " green") in engine.asked
    assert any("javis_colours" in line and "0.7500" in line for line in said)
    written = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert (written["model"], written["results"][0]["version"]) == ("scripted", "v1.0")


def test_versions_are_told_apart(tmp_path: Path) -> None:
    path = task_file(tmp_path, WRITTEN, SUMS)
    engine = ScriptedEngine(adds, versions=["v1.0"])
    kept = {}
    found = ask(engine, ["v1.0", BASE], [path], print, keep=kept.__setitem__)
    assert kept == found
    assert [row.value for row in found["v1.0"]] == [1.0]
    assert [row.value for row in found[BASE]] == [0.0]
    assert len(list(table(found))) == 3


def test_a_limit_takes_the_first_items(tmp_path: Path) -> None:
    path = task_file(tmp_path, WRITTEN, SUMS)
    found = ask(ScriptedEngine(adds), [BASE], [path], print, limit=2)
    assert [row.items for row in found[BASE]] == [2]


def test_with_the_chat_template_the_engine_gets_messages(tmp_path: Path) -> None:
    engine = Weighing(versions=["v1.0"])
    ask(engine, ["v1.0"], [task_file(tmp_path, CHOICES, COLOURS)], print, chat=True)
    assert ([Message("user", "Question: Grass is\nAnswer:")], "green") in engine.asked


def test_whole_texts_are_weighed(tmp_path: Path) -> None:
    engine = Weighing(versions=["v1.0"])
    text = "x" * 10
    found = ask(engine, ["v1.0"], [task_file(tmp_path, WHOLE, [{"text": text}])], print)
    assert [row.value for row in found["v1.0"]] == [pytest.approx(1.0 / 10 / math.log(2))]


class Narrow(ScriptedEngine):
    """Reads at most ten characters."""

    def score(  # type: ignore[no-untyped-def]
        self, prompt: Sequence[Message] | str, answer: str, version: str = BASE, stop=None
    ) -> Likelihood:
        words = prompt if isinstance(prompt, str) else "".join(m.content for m in prompt)
        if len(words) + len(answer) > 10:
            raise ContextOverflow(tokens=len(words) + len(answer), limit=10, drop=None)
        self.__dict__.setdefault("read", []).append((words, answer))
        return Likelihood(float(len(answer)), 1)


def test_what_is_too_long_loses_its_beginning() -> None:
    from lm_eval.api.instance import Instance

    from javis.eval.harness import EngineLM

    lm = EngineLM(Narrow(), BASE)

    def request(*arguments: object) -> Instance:
        return Instance("loglikelihood", {}, arguments, 0)

    assert lm.loglikelihood([request("a" * 30 + "end", "yes")]) == [(-3.0, False)]
    assert lm.shortened == 1
    read = lm._engine.read[0][0]  # type: ignore[attr-defined]
    assert read.endswith("end")
    with pytest.raises(ContextOverflow):
        lm.loglikelihood([request("", "much too long")])
    # A text that does not fit is weighed in parts; no letter is lost or weighed twice.
    assert lm.loglikelihood_rolling([request("one two three four five")]) == [-23.0]
    assert lm.loglikelihood_rolling([request("x" * 45)]) == [-45.0]


def test_messages_travel_as_text_and_back() -> None:
    from javis.eval.harness import EngineLM, _prompt

    rows = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": '한글 "{}"'}]
    text = EngineLM(ScriptedEngine()).apply_chat_template(rows)
    assert _prompt(text) == [Message("system", "Be brief."), Message("user", '한글 "{}"')]
    begun = _prompt(text + " So")
    assert begun[-1] == Message("assistant", " So")
    assert _prompt("plain") == "plain"


def test_what_cannot_be_run_is_said(tmp_path: Path) -> None:
    greedy = WRITTEN.replace("generate_until", "loglikelihood")
    cases = [
        (str(tmp_path / "none.yaml"), "no_harness_task"),
        (task_file(tmp_path, greedy, SUMS), "harness_task_greedy"),
    ]
    for path, code in cases:
        with pytest.raises(UserInputError) as raised:
            ask(ScriptedEngine(), [BASE], [path], print)
        assert raised.value.code == code
    gone = task_file(tmp_path, WRITTEN, SUMS)
    (tmp_path / "rows.jsonl").unlink()
    with pytest.raises(UserInputError) as raised:
        ask(ScriptedEngine(), [BASE], [gone], print)
    assert raised.value.code == "harness_task_failed"


def test_an_error_of_the_engine_ends_the_run(tmp_path: Path) -> None:
    from javis.core.errors import EngineError

    engine = ScriptedEngine(adds, fail_after=0)
    with pytest.raises(EngineError):
        ask(engine, [BASE], [task_file(tmp_path, WRITTEN, SUMS)], print)
