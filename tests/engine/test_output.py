from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from javis.engine.output import HideControl

LITERALS = ("<|im_start|>", "<|im_end|>")


@given(st.lists(st.text(st.sampled_from("<|im_startend>ab"), max_size=8)))
def test_no_literal_gets_through_however_it_is_cut(pieces: list[str]) -> None:
    hide = HideControl(LITERALS)
    out = "".join(hide.feed(p) for p in [*pieces, "<|im_", "end|>", "x<|im_start|>"])
    out += hide.flush()
    assert not any(literal in out for literal in LITERALS)


def test_ordinary_text_comes_through_whole() -> None:
    hide = HideControl(LITERALS)
    text = "a < b, <|im_pressed, <html> |im_end|>"
    assert "".join(hide.feed(c) for c in text) + hide.flush() == text


def test_what_is_left_over_spells_nothing_out_again() -> None:
    hide = HideControl(["<|im_end|>"])
    assert hide.feed("a<|im_<|im_end|>end|>b") + hide.flush() == "ab"
