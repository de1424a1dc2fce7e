"""The words of the page: whole in both languages, none missing, none left over."""

from __future__ import annotations

import ast
import errno
import os
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

from javis.commands import study
from javis.core.errors import (
    ContextOverflow,
    EngineError,
    Errors,
    JavisError,
    NotEnoughData,
    StoreError,
    UserInputError,
)
from javis.core.evaluation import SUITES
from javis.core.learning import FLAG_KINDS, METHODS, JobState, Method, Prices, Status
from javis.core.sentence import Sentence
from javis.core.types import REASONS, Finish, check_text
from javis.dataset.pii import KINDS
from javis.eval import charts, compare, gate, suite_gate
from javis.eval.comparison import LossSource, Table
from javis.eval.suites import suites
from javis.eval.symptoms import SYMPTOMS
from javis.service import outcome
from javis.service.own_suites import SEEN, UNSEEN
from javis.train import recommend
from javis.train.hyperparameters import RANGES, SCHEDULERS, Hyperparameters
from javis.ui.texts import LANGUAGES, SYSTEM_REASONS, Texts
from javis.versions.history import Reason

JAVIS = Path(__file__).resolve().parents[2] / "javis"
ERRORS = {
    "JavisError",
    "UserInputError",
    "NotFound",
    "Forbidden",
    "Busy",
    "StoreError",
    "StoreCorrupt",
    "SyncFailed",
    "EngineError",
    "VersionError",
    "TrainError",
    "NotEnoughData",
}
WHOLE_SENTENCES = {"version_damaged", "version_not_for_engine"}
"""Codes whose many sentences are written where they are raised; the page shows those."""

FAMILIES = {
    "tabs": ("chat", "review", "compare", "admin"),
    "theme": ("auto", "light", "dark"),
    "thumb": ("good", "bad"),
    "composer": ("send", "stop"),
    "saved": ("defaults", "preset", "preset_deleted"),
    "rating": ("good", "bad", "corrected", "none"),
    "sections": ("train", "evaluate", "versions", "dashboard", "system"),
    "status": tuple(f"{c}{s}" for c in ("", "count_") for s in get_args(Status)),
    "role": ("system", "user", "assistant"),
    "review": (
        *(f"any_{name}" for name in ("status", "rating", "flag", "version")),
        "edit",
        *(f"done_{action}" for action in ("approve", "edit", "exclude")),
        *(f"bulk_{action}_done" for action in ("approve", "exclude", "reset")),
    ),
    "export": ("all", "good", "bad"),
    "format": tuple(
        f"{why}{name}"
        for why in ("", "why_")
        for name in ("messages", "sharegpt", "alpaca", "preference", "kto", "csv")
    ),
    "estimate": ("local", "rented", "serverless"),
    "phase": (
        "queued",
        "preparing",
        "training",
        "scoring",
        "promoting",
        "evaluating",
        "publishing",
        "cancelling",
    ),
    "decide": (
        *("rejected_title", "failed_title", "cancelled_title"),
        *("passed_base", "passed_current", "succeeded", "failed", "cancelled"),
    ),
    "gate": ("base", "current", "candidate"),
    "compare": ("table", "answers", "votes", "higher", "lower"),
    "measure": (
        *("loss", "perplexity", "mean_characters", "mean_words", "distinct_1", "distinct_2"),
        *("strict_rate", "at_limit_rate", *(f"{symptom}_rate" for symptom in SYMPTOMS)),
        *("chrf", "similarity", "judge_agree_rate"),
    ),
    "schedule": ("turns", "days"),
}
"""Words whose keys the script puts together."""
NOTES = tuple(
    f"note_{code}"
    for module in (compare, study)
    for code in re.findall(r'Note\("([a-z_]+)"', Path(module.__file__).read_text("utf-8"))
)
PANELS = [p for c in charts.charts(Table((), "", (), (), "suite", ()), {}) for p in c.panels]
GROWING = {
    "report": (
        *(title for panel in PANELS for title in (panel.title, panel.x_title) if title),
        *(f"{kind}_{name}" for name in get_args(charts.ChartName) for kind in ("figure", "why")),
        *(f"method_{method.replace('-', '_')}" for method in METHODS),
        *(f"cost_{price}" for price in ("local", "rented", "serverless")),
        *(f"loss_from_{source}" for source in get_args(LossSource)),
        *NOTES,
    ),
    "status": charts.STATUSES,
    "personal": KINDS,
    "flag": (*FLAG_KINDS, *(f"why_{kind}" for kind in FLAG_KINDS), "any"),
    "method": tuple(f"{why}{m.replace('-', '_')}" for why in ("", "why_") for m in METHODS),
    "hyper": (
        *(f"{why}{name}" for why in ("", "why_") for name in RANGES),
        *(f"choice_{name}" for name in SCHEDULERS),
    ),
    "preset": tuple(recommend.PRESETS),
    "price": tuple(f.name for f in fields(Prices)),
    "state": get_args(JobState),
    "history": get_args(Reason),
    "suite": tuple(name.replace("-", "_") for name in SUITES),
    "group": {SEEN, UNSEEN}
    | {item.group.replace("-", "_") for suite in suites().values() for item in suite.items()},
    "eval": tuple(f"why_{name.replace('-', '_')}" for name in SUITES),
}
"""The same, of what other parts of the program list: a new one there needs words here."""
CHECKS = {
    name
    for module in (gate, suite_gate, outcome)
    for name in re.findall(r'"(gate\.[a-z_]+)"', Path(module.__file__).read_text("utf-8"))
}
WHYS = set(re.findall(r'"(why\.[a-z_]+)"', Path(recommend.__file__).read_text("utf-8")))


def raised(source: str) -> Iterator[tuple[str, set[str] | None]]:
    """Each error code in a source, with the names of its values (None when they vary)."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        func = node.func
        name = func.id if isinstance(func, ast.Name) else getattr(func, "attr", "")
        if name not in ERRORS and name != "__init__":
            continue
        code = node.args[0] if node.args else None
        if isinstance(code, ast.Constant) and isinstance(code.value, str) and len(node.args) > 1:
            known = all(k.arg for k in node.keywords)
            yield code.value, {k.arg for k in node.keywords if k.arg} if known else None


def all_raised() -> dict[str, list[set[str] | None]]:
    found: dict[str, list[set[str] | None]] = {}
    pages_reach = [p for p in JAVIS.rglob("*.py") if "bench" not in p.relative_to(JAVIS).parts]
    for path in pages_reach:
        for code, values in raised(path.read_text(encoding="utf-8")):
            found.setdefault(code, []).append(values)
    return found


def names(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.fixture(scope="module")
def texts() -> Texts:
    return Texts()


def test_every_language_has_the_same_keys_and_placeholders(texts: Texts) -> None:
    first, *others = (texts.tables[language] for language in LANGUAGES)
    for other in others:
        assert first.keys() == other.keys()
        assert {k for k in first if names(first[k]) != names(other[k])} == set()
    assert all(text.strip() for table in texts.tables.values() for text in table.values())


def test_every_error_can_be_said(texts: Texts) -> None:
    codes = all_raised()
    assert len(codes) > 50
    for language in LANGUAGES:
        table = texts.tables[language]
        assert {c for c in codes if f"error.{c}" not in table} - WHOLE_SENTENCES == set()


def test_an_error_names_only_what_it_carries(texts: Texts) -> None:
    # `not_a_number` is said of an input and, by the engine, of a result: there it falls back.
    for code, uses in all_raised().items():
        for language in LANGUAGES:
            wanted = names(texts.tables[language].get(f"error.{code}", ""))
            assert any(values is None or wanted <= values for values in uses), code


def test_every_word_that_the_script_says_is_there(texts: Texts) -> None:
    source = "\n".join(p.read_text(encoding="utf-8") for p in (JAVIS / "ui").glob("*.js"))
    said = set(re.findall(r"""\bt\(\s*["']([a-z_0-9.]+)["']""", source))
    said |= set(re.findall(r"""\? "([a-z_]+\.[a-z_0-9]+)" : "[a-z_]+\.[a-z_0-9]+\"""", source))
    assert len(said) > 200
    assert said - texts.tables["en"].keys() == set()


def test_no_word_is_left_over(texts: Texts) -> None:
    pages = [*(JAVIS / "ui").glob("*.py"), *(JAVIS / "ui").glob("*.js")]
    pages += [*(JAVIS / "service").glob("report_*.py"), JAVIS / "eval" / "figures.py"]
    source = "\n".join(path.read_text(encoding="utf-8") for path in pages)
    quoted = set(re.findall(r"""["'`]([a-z_0-9]+(?:\.[a-z_0-9]+)*)["'`]""", source))
    used = quoted | {f"error.{c}" for c in all_raised()} | {"error.unforeseen"}
    used |= {f"reason.{r}" for r in REASONS}
    used |= {f"finish.{f}" for f in ("cancelled", "length", "interrupted", "edited")}
    used |= {f"finish.name_{f}" for f in get_args(Finish)}
    used |= {f"{family}.{name}" for family, names in FAMILIES.items() for name in names}
    used |= {f"{family}.{kind}" for family, kinds in GROWING.items() for kind in kinds}
    used |= {f"{name}{end}" for name in CHECKS for end in ("", "_no")}
    used |= {f"chosen.{code}" for code, _ in chosen_sentences()}
    used |= set(SYSTEM_REASONS.values())
    broken = broken_templates()
    used |= WHYS | {k for k, v in texts.tables["en"].items() if v in broken}
    left = {k for k in texts.tables["en"] if k not in used and not k.startswith("field.")}
    assert left == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_that_is_listed_elsewhere_has_words(texts: Texts, language: str) -> None:
    wanted = {f"{family}.{kind}" for family, kinds in GROWING.items() for kind in kinds}
    wanted |= {f"{name}{end}" for name in CHECKS for end in ("", "_no")}
    wanted |= {f"field.{name}" for name in RANGES} | WHYS
    assert len(CHECKS) > 5 and len(WHYS) > 3
    assert wanted - texts.tables[language].keys() == set()


def test_an_error_in_korean_names_the_field_in_korean(texts: Texts) -> None:
    with pytest.raises(UserInputError) as caught:
        check_text("", "The title", 10)
    assert texts.error("ko", caught.value) == "제목 내용이 비어 있습니다."
    assert texts.error("en", caught.value) == "The title is empty."
    overflow = ContextOverflow(tokens=300, limit=200, drop=2)
    assert "100토큰" in texts.error("ko", overflow)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("learning_rate", "학습률 값은 1e-8~1 사이여야 합니다."),
        ("epochs", "데이터 반복 횟수 값은 0.01~100 사이여야 합니다."),
        ("max_length", "예시 최대 길이 값은 16~131,072토큰 사이여야 합니다."),
        ("save_steps", "저장 간격 값은 1~1,000,000걸음 사이여야 합니다."),
    ],
)
def test_a_refused_range_is_written_as_the_form_writes_it(
    texts: Texts, name: str, sentence: str
) -> None:
    with pytest.raises(UserInputError) as caught:
        Hyperparameters.parse({name: -1})
    assert texts.error("ko", caught.value) == sentence


@pytest.mark.parametrize(
    ("method", "counts", "part"),
    [
        ("sft-lora", {"examples": 5}, "좋은 답변이 8개 이상"),
        ("dpo", {"pairs": 5}, "쌍이 8개 이상"),
        ("kto", {"liked": 43, "disliked": 1}, "각각 4개 이상"),
        ("kto", {"liked": 43, "disliked": 1}, "좋아요 43개, 아쉬워요 1개"),
    ],
)
def test_what_a_method_lacks_is_said_in_what_it_learns_from(
    texts: Texts, method: Method, counts: dict[str, int], part: str
) -> None:
    with pytest.raises(NotEnoughData) as caught:
        recommend.require_enough(method, counts)
    assert part in texts.error("ko", caught.value)
    assert str(caught.value.missing) in str(caught.value)


def test_a_full_disk_is_said_in_the_pages_language(texts: Texts) -> None:
    error = StoreError("not_saved", "{reason}", reason=os.strerror(errno.ENOSPC))
    assert "공간이 없습니다" in texts.error("ko", error)
    assert "No space left on device" in texts.error("en", error)


def test_what_cannot_be_said_falls_back_to_the_errors_own_sentence(texts: Texts) -> None:
    assert texts.error("ko", JavisError("never_heard_of", "Plain {x}.", x=1)) == "Plain 1."
    assert (
        texts.error("ko", EngineError("not_a_number", "The model failed.")) == "The model failed."
    )


def test_braces_in_a_value_are_only_text(texts: Texts) -> None:
    error = UserInputError("bad_reason", "'{reason}' is no known reason.", reason="{0.__class__}")
    assert "{0.__class__}" in texts.error("ko", error)


def broken_templates() -> set[str]:
    """The sentences about a damaged adapter, as the sources write them."""
    found = {"It was made for {base}, not for {model}.", "llama.cpp cannot load it: {why}"}
    for path in [*(JAVIS / "engine").glob("*.py"), *(JAVIS / "versions").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != "broken":
                continue
            if isinstance(node.args[0], ast.Constant):
                found.add(str(node.args[0].value))
    return found


def chosen_sentences() -> set[tuple[str, str]]:
    """Why an engine or a model was picked: the codes and sentences, as the catalogue has them."""
    source = (JAVIS / "engine" / "catalog.py").read_text("utf-8")
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    said = [call.args for call in calls if getattr(call.func, "id", "") == "Sentence"]
    return {(ast.literal_eval(code), ast.literal_eval(english)) for code, english in said}


def test_why_a_model_was_picked_is_said_in_the_pages_language(texts: Texts) -> None:
    wanted = {(f"chosen.{code}", english) for code, english in chosen_sentences()}
    assert wanted == {i for i in texts.tables["en"].items() if i[0].startswith("chosen.")}
    asked = Sentence("asked_for", "{what} was asked for.", what="{x}")
    assert str(asked) == texts.chosen("en", asked) == "{x} was asked for."
    assert texts.chosen("ko", asked) == "{x}을(를) 쓰도록 설정되어 있습니다."


def test_each_bad_row_of_an_import_is_said_in_the_pages_language(texts: Texts) -> None:
    rows = Errors(
        UserInputError("import_in_turn", "{error}", conversation=2, turn=1, error=error)
        for error in (
            UserInputError("empty_text", "{what} is empty.", what="The title"),
            UserInputError("import_turn", "must be an object."),
        )
    )
    whole = UserInputError("import_refused", "{count} {lines}", count=2, lines=rows)
    assert str(whole) == "2 The title is empty.\nmust be an object."
    first, second = texts.error("ko", whole).splitlines()[1:]
    assert first == "대화 2의 1번째 차례: 제목 내용이 비어 있습니다."
    assert second == "대화 2의 1번째 차례: 객체여야 합니다."


def test_every_fault_of_a_version_can_be_said(texts: Texts) -> None:
    english = {v for k, v in texts.tables["en"].items() if k.startswith("broken.")}
    assert broken_templates() == english
    sentence = "MANIFEST.json does not name adapter/x.json."
    assert texts.reason("en", sentence) == sentence
    assert (
        texts.reason("ko", sentence) == "MANIFEST.json에 adapter/x.json이(가) 적혀 있지 않습니다."
    )
    nested = "llama.cpp cannot load it: adapter_model.safetensors holds half a LoRA."
    assert "반쪽" in texts.reason("ko", nested)
    assert texts.reason("ko", "Something else.") == "Something else."
