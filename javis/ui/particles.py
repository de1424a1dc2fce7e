"""Korean particles after what was filled into a sentence: 은(는) becomes 은 or 는."""

from __future__ import annotations

import re

_CHOICE = re.compile(r"([가-힣0-9])([)\]'’\"”]*)(은\(는\)|이\(가\)|을\(를\)|\(으\)로)")
_FORMS = {"은(는)": "은는", "이(가)": "이가", "을(를)": "을를"}
_DIGITS = "영일이삼사오육칠팔구"
_RIEUL = 8
"""ㄹ among the 28 endings of a syllable: 로 follows it as it follows none."""


def settle(text: str) -> str:
    """Choose where a syllable or a digit before it tells; after Latin letters both stay."""
    return _CHOICE.sub(_chosen, text)


def _chosen(found: re.Match[str]) -> str:
    before, between, particle = found.groups()
    syllable = _DIGITS[int(before)] if before.isascii() else before
    ending = (ord(syllable) - ord("가")) % 28
    if particle == "(으)로":
        chosen = "으로" if ending not in (0, _RIEUL) else "로"
    else:
        chosen = _FORMS[particle][0 if ending else 1]
    return before + between + chosen
