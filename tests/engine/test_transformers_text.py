"""Text is let out only when it is certain, whatever the tokens are cut like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from javis.core.types import SamplingParams
from javis.engine.decoding import Sampler, TextStream

CONTROL = 300
OPEN, CLOSE = 301, 302


def decode(ids: list[int]) -> str:
    """One token for each byte, as the worst tokenizer would cut text."""
    return bytes(ids).decode("utf-8", "replace")


def make(stops: tuple[str, ...] = (), literals: tuple[str, ...] = ()) -> TextStream:
    return TextStream(decode, frozenset({CONTROL}), literals, stops, (OPEN, CLOSE))


def run(stream: TextStream, tokens: list[int]) -> tuple[str, list[str]]:
    pieces = []
    for token in tokens:
        pieces.append(stream.feed(token))
        if stream.stopped:
            break
    pieces.append(stream.flush())
    return "".join(pieces), pieces


TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\ufffd"), max_size=30)


@given(TEXT)
def test_any_text_comes_out_as_it_went_in(text: str) -> None:
    whole, pieces = run(make(), list(text.encode()))
    assert whole == text
    assert all("\ufffd" not in piece for piece in pieces)


@given(TEXT, st.text(max_size=4), TEXT, st.lists(st.text(min_size=1, max_size=4), max_size=2))
def test_stop_texts_never_come_out(before: str, stop: str, after: str, more: list[str]) -> None:
    stops = tuple(s for s in (stop, *more) if s and "\ufffd" not in s and s.isprintable())
    text = before + stop + after
    if "\ufffd" in text or any("\ud800" <= c <= "\udfff" for c in text):
        return
    whole, _ = run(make(stops), list(text.encode()))
    firsts = [i for i in (text.find(s) for s in stops) if i >= 0]
    assert text.startswith(whole)
    assert not any(s in whole for s in stops)
    if firsts:
        # A stop is seen at its last token: an earlier one that ends later may have been passed.
        assert len(whole) >= min(firsts)
    else:
        assert whole == text


def test_pieces_of_a_stop_text_wait() -> None:
    stream = make(("END",))
    assert [stream.feed(ord(c)) for c in "aENb"] == ["a", "", "", "ENb"]
    assert [stream.feed(ord(c)) for c in "END"] == ["", "", ""]
    assert stream.stopped
    assert stream.flush() == ""


def test_half_a_character_is_never_shown() -> None:
    whole, _ = run(make(), list("가나".encode())[:-1])
    assert whole == "가"
    whole, _ = run(make(), [0x80] * 20 + [ord("a")])
    assert whole == "a"


def test_control_tokens_and_thoughts_are_hidden() -> None:
    tokens = [OPEN, *b"hmm", CLOSE, *b"\n\nHi", CONTROL, *b"!"]
    assert run(make(), tokens)[0] == "Hi!"
    assert run(make(), [OPEN, *b"never ends"])[0] == ""


def test_a_spelled_out_control_token_is_taken_out() -> None:
    assert run(make(literals=("<|im_end|>",)), list(b"a<|im_end|>b"))[0] == "ab"


def test_a_long_run_without_a_whole_character_does_not_wait_for_ever() -> None:
    stream = make()
    for _ in range(100):
        stream.feed(0xFF)
    assert len(stream._ids) - stream._read <= 13


def choose(params: SamplingParams, logits: list[float], times: int) -> list[int]:
    import torch

    sampler = Sampler(params, [], len(logits))
    return [sampler.choose(torch.tensor(logits)) for _ in range(times)]


def test_top_p_keeps_the_fewest_tokens_that_reach_it() -> None:
    import math

    logits = [math.log(p) for p in (0.5, 0.3, 0.15, 0.05)]
    for top_p, kept in (
        (0.4, {0}),
        (0.5, {0}),
        (0.6, {0, 1}),
        (0.9, {0, 1, 2}),
        (1.0, {0, 1, 2, 3}),
    ):
        params = SamplingParams(temperature=1, top_p=top_p, seed=1)
        assert set(choose(params, logits, 400)) == kept


def test_temperature_follows_the_chances() -> None:
    import math

    draws = choose(SamplingParams(temperature=1, top_p=1, seed=3), [math.log(3), 0.0], 4000)
    assert draws.count(0) / 4000 == pytest.approx(0.75, abs=0.03)
    draws = choose(SamplingParams(temperature=2, top_p=1, seed=3), [math.log(9), 0.0], 4000)
    assert draws.count(0) / 4000 == pytest.approx(0.75, abs=0.03)


def test_repetition_penalty_pushes_seen_tokens_down() -> None:
    import torch

    params = SamplingParams(temperature=0, repetition_penalty=2)
    sampler = Sampler(params, [0], 3)
    assert sampler.choose(torch.tensor([3.0, 2.0, -1.0])) == 1
    assert sampler.choose(torch.tensor([3.0, 2.0, 1.8])) == 2


def test_padding_of_the_matrix_is_never_chosen() -> None:
    import torch

    sampler = Sampler(SamplingParams(temperature=0), [], 2)
    assert sampler.choose(torch.tensor([0.0, 1.0, 99.0])) == 1
