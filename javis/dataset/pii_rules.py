"""The forms of personal data, Korean ones first.

What has a check digit must pass it, and what could be any number (an account, a passport) counts
only beside a word that says so: a flag on every date or price would be clicked away unread.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal, get_args

Kind = Literal[
    "email",
    "resident_number",
    "foreigner_number",
    "phone",
    "account",
    "card",
    "business_number",
    "passport",
    "driver_licence",
    "address",
    "ip",
    "secret",
]
KINDS: tuple[Kind, ...] = get_args(Kind)

Check = Callable[[str, re.Match[str]], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    kind: Kind
    pattern: re.Pattern[str]
    check: Check | None = None
    """What the form alone cannot tell; gets the whole text and the match."""


# -- a quick look, as most texts hold nothing ------------------------------------------------

_DIGIT = re.compile(r"\d")
_LONG_NUMBER = re.compile(r"\d(?:[\s.\-–)/]{0,3}\d){6}")
_ADDRESS_END = re.compile(r"[로길동리가]\s?(?:산\s?)?\d")
_SECRET_SIGNS = (
    *("sk-", "sk_", "rk_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-"),
    *("AKIA", "ASIA", "AIza", "xox", "hf_", "gsk_", "npm_", "pypi-", "eyJ", "PRIVATE KEY"),
)
_PASSWORD = re.compile(r"(?i)passw(?:or)?d|비밀번호|비번|암호")
_WIDE = re.compile(r"[^\x00-\x7f]")


def may_hold(text: str) -> bool:
    """False for nearly every text without personal data, and never for one with."""
    if _DIGIT.search(text):
        return True
    return "@" in text or "＠" in text or "PRIVATE KEY" in text or "sk-" in text


def rules_for(text: str) -> Iterator[Rule]:
    if any(sign in text for sign in _SECRET_SIGNS):
        yield _SECRET
    if _PASSWORD.search(text):
        yield _SECRET_WORD
    if "@" in text:
        yield _EMAIL
    if _LONG_NUMBER.search(text):
        yield from _NUMBERS
    if _PASSPORT_WORDS.search(text):
        yield from _PASSPORTS
    if ("." in text and _IP4_SIGN.search(text)) or text.count(":") > 1:
        yield from _ADDRESSES_IP
    if _ADDRESS_END.search(text):
        yield from _ADDRESSES


def ascii_digits(text: str) -> str:
    """Full-width forms as ASCII, at the same places."""
    if text.isascii():
        return text
    return _WIDE.sub(_narrow, text) if _WIDE_SIGN.search(text) else text


_WIDE_SIGN = re.compile(r"[０-９＠．－＋‐‑–−]|(?![0-9])\d")


def _narrow(match: re.Match[str]) -> str:
    char = match.group()
    if char.isdecimal():
        return str(int(char))
    return _NARROW.get(char, char)


_NARROW = dict.fromkeys("－‐‑–−", "-") | {"＠": "@", "．": ".", "＋": "+"}


# -- numbers ---------------------------------------------------------------------------------


def _digits(text: str) -> list[int]:
    return [int(char) for char in text if "0" <= char <= "9"]


def _near(text: str, match: re.Match[str], words: re.Pattern[str], before: int, after: int) -> bool:
    """Whether one of the words stands close by, on the same line."""
    start, end = match.span()
    left = text[max(0, start - before) : start].rpartition("\n")[2]
    right = text[end : end + after].partition("\n")[0]
    return bool(words.search(left) or words.search(right))


def _weighed(digits: list[int], weights: tuple[int, ...]) -> int:
    return sum(d * w for d, w in zip(digits, weights, strict=False))


_BIRTH_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
_RESIDENT_WORDS = re.compile(r"(?i)주민|외국인\s?등록|생년|resident|registration|RRN|\bARC\b")


def _is_birth_number(foreign: bool) -> Check:
    def check(text: str, match: re.Match[str]) -> bool:
        digits = _digits(match.group())
        if (digits[6] in (5, 6, 7, 8)) != foreign:
            return False
        century = {1: 1900, 2: 1900, 3: 2000, 4: 2000, 5: 1900, 6: 1900, 7: 2000, 8: 2000}
        try:
            born = date(
                century[digits[6]] + digits[0] * 10 + digits[1],
                digits[2] * 10 + digits[3],
                digits[4] * 10 + digits[5],
            )
        except ValueError:
            return False
        base = 13 if foreign else 11
        if (base - _weighed(digits, _BIRTH_WEIGHTS) % 11) % 10 == digits[12]:
            return True
        # Numbers given since October 2020 have no check digit any more.
        written_out = "-" in match.group()
        return written_out and (
            born >= date(2020, 10, 5) or _near(text, match, _RESIDENT_WORDS, 20, 5)
        )

    return check


def _is_card(text: str, match: re.Match[str]) -> bool:
    """The Luhn check, on the first digits that card networks use."""
    digits = _digits(match.group())
    doubled = [d * 2 - 9 * (d > 4) if i % 2 else d for i, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0 and len(set(digits)) > 1


_BUSINESS_WEIGHTS = (1, 3, 7, 1, 3, 7, 1, 3, 5)
_BUSINESS_WORDS = re.compile(r"(?i)사업자|business (?:registration )?(?:number|no)")


def _is_business(text: str, match: re.Match[str]) -> bool:
    digits = _digits(match.group())
    total = _weighed(digits, _BUSINESS_WEIGHTS) + digits[8] * 5 // 10
    if (10 - total % 10) % 10 != digits[9]:
        return False
    return "-" in match.group() or _near(text, match, _BUSINESS_WORDS, 20, 0)


_ACCOUNT_WORDS = re.compile(
    r"(?i)계좌|입금|송금|이체|예금|통장|은행|뱅크|농협|수협|신협|새마을금고|우체국|account|bank|IBAN"
)
_BANK_NAMES = re.compile(r"신한|국민|우리|하나|기업|카카오|토스|케이|제일|부산|대구|광주|전북|경남")
"""Ordinary words too, so they count only before a number written in groups."""
_PASSPORT_WORDS = re.compile(r"(?i)여권|passport")


def _is_account(text: str, match: re.Match[str]) -> bool:
    digits = _digits(match.group())
    if not 10 <= len(digits) <= 16 or len(set(digits)) == 1:
        return False
    named = "-" in match.group() and _near(text, match, _BANK_NAMES, 6, 0)
    return named or _near(text, match, _ACCOUNT_WORDS, 18, 12)


def _is_passport(text: str, match: re.Match[str]) -> bool:
    return _near(text, match, _PASSPORT_WORDS, 25, 12)


def _rule(kind: Kind, pattern: str, check: Check | None = None) -> Rule:
    return Rule(kind, re.compile(pattern), check)


_APART = r"(?<![\d])(?<!\d[.\-])"
"""Not in the middle of a longer number."""
_ENDS = r"(?![\d])(?!-\d)"
_BIRTH = r"\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\s?-?\s?"

_NUMBERS = (
    _rule("resident_number", _APART + _BIRTH + r"[1-4]\d{6}" + _ENDS, _is_birth_number(False)),
    _rule("foreigner_number", _APART + _BIRTH + r"[5-8]\d{6}" + _ENDS, _is_birth_number(True)),
    _rule(
        "card",
        _APART
        + r"(?:[2-69]\d{3}([ -]?)\d{4}\1\d{4}\1\d{4}|3[47]\d{2}([ -]?)\d{6}\2\d{5}|"
        + r"3[068]\d{2}([ -]?)\d{6}\3\d{4})"
        + _ENDS,
        _is_card,
    ),
    _rule(
        "driver_licence",
        _APART + r"(?:1[1-9]|2[0-8])-\d{2}-\d{6}-\d{2}" + _ENDS,
    ),
    _rule("business_number", _APART + r"\d{3}-?\d{2}-?\d{5}" + _ENDS, _is_business),
    # Mobile and internet numbers, with or without the country's code.
    _rule(
        "phone",
        r"(?<![\d.,])(?<!\d-)(?:\(?\+?82\)?[ .-]?\(?0?\)?|\(?0)(?:1[016789]|70|50[2-8]?)\)?"
        + r"[ .\-]?\d{3,4}[ .\-]?\d{4}"
        + _ENDS,
    ),
    _rule(
        "phone",
        r"(?<![\d.,])(?<!\d-)"
        + r"(?:\(0(?:2|[3-6][1-5])\)[ -]?|(?:\+?82[ .-]?|0)(?:2|[3-6][1-5])[ ).\-])"
        + r"\s?\d{3,4}[ .\-]\d{4}"
        + _ENDS,
    ),
    # Elsewhere in the world: +1 415 555 2671, (415) 555-2671, 415-555-2671.
    _rule(
        "phone",
        r"(?<![\w+])\+(?!82)[1-9]\d{0,2}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){2,3}"
        + _ENDS,
    ),
    _rule(
        "phone",
        r"(?<![\d.,\-])(?:\([2-9]\d{2}\) ?|(?<!\w)[2-9]\d{2}[-.])[2-9]\d{2}[-.]\d{4}" + _ENDS,
    ),
    _rule("account", _APART + r"\d{2,6}(?:[- ]\d{2,8}){1,3}" + _ENDS, _is_account),
    _rule("account", _APART + r"\d{10,14}" + _ENDS, _is_account),
)
_PASSPORTS = (
    _rule(
        "passport",
        r"(?<![A-Za-z0-9])(?:[A-Z]{1,2}\d{7,8}|[A-Z]\d{3}[A-Z]\d{4})(?![A-Za-z0-9])",
        _is_passport,
    ),
)

# -- e-mail, secrets, addresses --------------------------------------------------------------

_EMAIL = _rule(
    "email",
    r"(?<![\w.+-])[A-Za-z0-9_.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9_-])(?!:[\w~/])",
)
_SECRET = _rule(
    "secret",
    r"(?<![A-Za-z0-9_])(?:sk-[A-Za-z0-9_-]{20,200}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,120}|"
    r"gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_\w{22,255}|glpat-[\w-]{20,64}|"
    r"A[KS]IA[0-9A-Z]{16}(?![0-9A-Z])|AIza[\w-]{35}|xox[abprs]-[A-Za-z0-9-]{10,250}|"
    r"hf_[A-Za-z0-9]{30,64}|gsk_[A-Za-z0-9]{40,80}|npm_[A-Za-z0-9]{36}|pypi-[\w-]{40,300}|"
    r"eyJ[\w-]{8,2000}\.eyJ[\w-]{8,4000}\.[\w-]{8,2000})|"
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]{0,8000}?"
    r"(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)",
)
_SECRET_WORD = _rule(
    "secret",
    r"(?i)(?:passw(?:or)?d|비밀\s?번호|비번|암호)(?:\s?(?:is|[:=]|은|는|이|가)){1,3}\s{0,4}[\"'`]?"
    r"(?P<it>(?=[A-Za-z0-9!@#$%^&*_+\-]*\d)(?=[A-Za-z0-9!@#$%^&*_+\-]*[A-Za-z!@#$%^&*])"
    r"[A-Za-z0-9!@#$%^&*_+\-]{6,64})",
)

_VERSION_WORDS = re.compile(r"(?i)(?:\bv|ver(?:sion)?\.?|버전|빌드|build|release|릴리스)\s?$")
_IP4_SIGN = re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d")


def _is_public_ip(text: str, match: re.Match[str]) -> bool:
    """An address of somebody: not a local one, and not a version of four parts."""
    try:
        address = ipaddress.ip_address(match.group())
    except ValueError:
        return False
    before = text[max(0, match.start() - 12) : match.start()]
    return address.is_global and not _VERSION_WORDS.search(before)


_ADDRESSES_IP = (
    _rule("ip", r"(?<![\w.\-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-])(?!\.\d)", _is_public_ip),
    _rule(
        "ip",
        r"(?i)(?<![\w:.])(?:[0-9a-f]{1,4}:){2,7}(?::?[0-9a-f]{1,4}){1,6}(?![\w:])",
        _is_public_ip,
    ),
)

_REGION = (
    r"(?:(?:서울|부산|대구|인천|광주|대전|울산|세종|제주|경기|강원|충북|충남|전북|전남|경북|경남|"
    r"[가-힣]{2,5}(?:특별시|광역시|특별자치시|특별자치도|도))(?:시|도)?\s+)?"
)
_DISTRICT = r"[가-힣]{1,7}[시군구]\s+(?:[가-힣]{1,7}구\s+)?(?:[가-힣0-9]{1,8}[읍면]\s+)?"
_DETAIL = (
    r"(?:\s?\(?[가-힣0-9·, ]{2,20}\))?"
    r"(?:,?\s?[가-힣A-Za-z0-9]{0,15}\s?\d{1,4}동)?(?:,?\s?(?:지하\s?)?\d{1,3}층)?(?:,?\s?[A-Za-z]?\d{1,5}호)?"
)
_ADDRESSES = (
    _rule(
        "address",
        r"(?<![가-힣])"
        + _REGION
        + _DISTRICT
        + r"[가-힣0-9·]{1,15}(?:대로|로|길)\s?(?:\d{1,4}번?[가-힣]?길\s?)?"
        + r"(?:지하\s?)?\d{1,5}(?:-\d{1,4})?"
        + r"(?![\d.]|\s?[%년월일시분초명개원차위배회])"
        + _DETAIL,
    ),
    _rule(
        "address",
        r"(?<![가-힣])"
        + _REGION
        + _DISTRICT
        # Twice is enough (문래동 3가), and more would try every way to cut a long word in pieces.
        + r"(?:[가-힣0-9]{1,8}[동리가]\s?){1,2}(?:산\s?)?\d{1,4}(?:-\d{1,4})?(?:번지)?"
        + r"(?![\d.]|\s?[%년월일시분초명개원차위배회])"
        + _DETAIL,
    ),
)
