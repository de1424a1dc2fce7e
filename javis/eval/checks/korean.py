"""The speech levels of Korean, told by how sentences end."""

from __future__ import annotations

import re

from javis.eval.checks.text import sentences_of

_TAIL = re.compile(r"[^가-힣]+\Z")
_HANGUL = re.compile(r"[가-힣]")
_FIRST = ord("가")
_B, _M, _SS = 17, 16, 20
"""Numbers of the final consonants ㅂ, ㅁ and ㅆ within a syllable."""
_NOUNS_IN_YO = (
    *("필요", "중요", "개요", "수요", "동요", "민요", "주요", "소요", "긴요", "불필요", "강요"),
)
_PLAIN = ("다", "자", "라", "냐", "가", "까", "마")
_CASUAL_VOWELS = {0, 1, 2, 4, 5, 6, 7, 9, 10, 14}
"""ㅏ ㅐ ㅑ ㅓ ㅔ ㅕ ㅖ ㅘ ㅙ ㅝ: what stem and 아/어 melt into (가, 해, 먹어, 봐), and 야."""
_CASUAL = (
    "지",
    "니",
    "군",
    "걸",
    "든",
    "게",
    "까",
    "자",
    "던",
    "데",
    "래",
    "네",
    "구나",
    "구먼",
    "구만",
    "도록",
    "대",
    "마",
    "렴",
    "고",
)

_GREETING = {
    "polite": ("안녕하세요", "안녕하십니까"),
    # 고마워 and 축하해 have an ending of their own.
    "casual": ("안녕", "오랜만", "미안", "땡큐"),
}
_REPLY = {
    "polite": ("네", "예", "저기요", "여보세요"),
    "casual": ("응", "어", "야", "얘", "그래", "그치"),
}
_ADVERBS = ("그럭저럭", "별로", "아직", "물론", "그냥")
"""Words that answer by themselves; only polite speech adds 요 to them."""
_GOING_ON = ("고", "서", "며", "니까", "는데", "은데", "려")
"""Endings after which the sentence goes on."""
_FINAL = r"냐|잖아|거든|구나|[싶좋많없]다|[한간운는]다|(?<!사)이다|오랜만이네|[이거뭐]야"
"""Endings that close a sentence, and that few nouns share: 해 in 작성해 제출 does not close."""
_SURE = re.compile(
    rf"(?:{_FINAL}|[가하보오놀먹나쉬]자|[먹싶없늦]어|[좋많괜찮]아"
    r"|줘|봐|(?<![타샤파])워|(?<![새올오피이동서남])해|잘 ?[가자])\Z"
)
"""Endings of verbs that few nouns share."""
_STRESS = ("진짜", "정말", "참", "너무", "완전", "되게")
_EXCLAIMED = ("아", "와", "우와", "오", "음", "자", "앗", "아이고", "하하", "파이팅", "화이팅")
_VOCATIVE = re.compile(
    r"(?:\S+ )?(?:[가-힣]+(?:님|씨|께)|[가-힣]*(?:여러분|할아버지|할머니|아버지|어머니|아빠|엄마))"
    r"|우리 [가-힣]+이"
)

_ASIDE = re.compile(r"\([^()]*\)(?=[^가-힣]*\Z)")
_CALL = re.compile(r"[가-힣]{1,5}!+")

LEVELS = ("polite", "formal", "friendly", "casual", "plain", "nominal")


def register(text: str, *, level: str) -> bool:
    """Every Korean sentence is of the level.

    `polite` (존댓말) is `formal` (합쇼체: -습니다) or `friendly` (해요체: -요); `casual` (반말) is
    해체 or 해라체 (-다); `plain` is 해라체 alone, `nominal` ends in -음, -함, -기. A sentence
    without Hangul counts for none, and there must be one with it. A mere greeting, exclamation or
    form of address counts only where nothing else is said.
    """
    sentences = [s for s in sentences_of(text) if _HANGUL.search(s)]
    endings = [e for s in sentences if (e := _ending(s, level))]
    endings = endings or [_TAIL.sub("", s) for s in sentences]
    return bool(endings) and all(_is(level, ending) for ending in endings)


def _ending(sentence: str, level: str) -> str:
    """The sentence up to its ending: "나가자, 응?" ends in 자, and "안녕!" says nothing."""
    stripped = _ASIDE.sub("", sentence)
    sentence = stripped if _HANGUL.search(stripped) else sentence
    kin = {"formal": "polite", "friendly": "polite"}.get(level, level)
    greetings = _GREETING.get(kin, ())
    idle = (*_REPLY.get(kin, ()), *_EXCLAIMED)
    parts = [_TAIL.sub("", part).strip() for part in re.split(r"[,，]", sentence)]
    parts = [_core(p, greetings, idle) for p in parts]
    parts = [p for p in parts if p and p not in idle and not _VOCATIVE.fullmatch(p)]
    if _CALL.fullmatch(sentence) and not _answers(sentence.rstrip("!")):
        return ""
    while parts and (parts[-1] in greetings or _is_afterthought(parts, greetings)):
        parts.pop()
    return parts[-1] if parts else ""


def _answers(word: str) -> bool:
    """Greets, replies or has an ending, so that it has a level: a mere call (초코!) has none."""
    said = {word for level in (_GREETING, _REPLY) for words in level.values() for word in words}
    return word in said or _has_ending(word)


def _core(part: str, greetings: tuple[str, ...], idle: tuple[str, ...]) -> str:
    """Without what a comma might have set apart: "와 진짜 오랜만", "오랜만이다 친구"."""
    words = part.split()
    while len(words) > 1 and words[0] in (*idle, *_STRESS):
        words = words[1:]
    while len(words) > 1 and words[-1] in _STRESS and _has_ending(" ".join(words[:-1])):
        words.pop()
    head, last = " ".join(words[:-1]), words[-1] if words else ""
    if head and not _has_ending(last) and (head in greetings or _is_final(head)):
        return head
    return " ".join(words)


def _is_final(part: str) -> bool:
    """Ends as only a whole sentence does, past tense -ㅆ어 included, but not 네가 있어 행복."""
    past = part.endswith(("어", "다", "지", "니", "네")) and _final(part[-2:-1]) == _SS
    past = past and not part.endswith("있어")
    return past or formal(part) or friendly(part) or bool(re.search(rf"(?:{_FINAL})\Z", part))


def _is_afterthought(parts: list[str], greetings: tuple[str, ...]) -> bool:
    """The last part of "가자, 초코!" or "잘 지냈어, 요즘?": a word or two without an ending, after
    a part that has one or greets."""
    *before, last = parts
    if not before or len(last.split()) > 2 or _has_ending(last):
        return False
    return before[-1] in greetings or _closes(before[-1])


def _has_ending(part: str) -> bool:
    return formal(part) or friendly(part) or plain(part) or casual(part) or _is_note(part)


def _is_note(part: str) -> bool:
    """Nominal beyond doubt: 요즘 and 아기 only look so."""
    return part.endswith(("음", "함", "됨", "임", "하기", "것"))


def _closes(part: str) -> bool:
    """Has the ending of a sentence. One word alone needs a sure one, as 사과 and 바다 in a list of
    nouns look like verbs."""
    if part.endswith(_GOING_ON) or not _has_ending(part):
        return False
    sure = formal(part) or friendly(part) or bool(_SURE.search(part))
    return sure or " " in part or any(_final(c) == _SS for c in part[:-1])


def _is(level: str, ending: str) -> bool:
    if level == "polite":
        return formal(ending) or friendly(ending)
    if level == "casual":
        if formal(ending) or friendly(ending):
            return False
        return plain(ending) or casual(ending) or ending.split(" ")[-1] in _ADVERBS
    return {"formal": formal, "friendly": friendly, "plain": plain, "nominal": nominal}[level](
        ending
    )


def formal(ending: str) -> bool:
    """-ㅂ니다, -습니까, -ㅂ시다, -십시오. 아니다 is none: ㅂ must stand before 니다."""
    if ending.endswith(("십시오", "시지요")):
        return ending.endswith("십시오")
    return ending.endswith(("니다", "니까", "시다")) and _final(ending[-3:-2]) == _B


def friendly(ending: str) -> bool:
    """-요 and -죠; nouns such as 필요 end so too and are none."""
    return ending.endswith(("요", "죠")) and not ending.endswith(_NOUNS_IN_YO)


def plain(ending: str) -> bool:
    """-다, -자, -라, -냐, and questions in -가 and -까, without -ㅂ니다."""
    return len(ending) > 1 and ending.endswith(_PLAIN) and not formal(ending)


def casual(ending: str) -> bool:
    """-아/어 in whatever form, -지, -네, -거든… The last syllable decides, so that a noun at the
    end can pass for a verb (나라 like 가)."""
    if ending.endswith(_CASUAL):
        return True
    return _final(ending[-1:]) == 0 and _vowel(ending[-1:]) in _CASUAL_VOWELS


def nominal(ending: str) -> bool:
    """-음, -함, -됨 (a last ㅁ), -기, -것."""
    return _final(ending[-1:]) == _M or ending.endswith(("기", "것"))


def _final(syllable: str) -> int:
    return (ord(syllable) - _FIRST) % 28 if _HANGUL.fullmatch(syllable) else -1


def _vowel(syllable: str) -> int:
    return (ord(syllable) - _FIRST) // 28 % 21
