"""Personal data: found and masked, with few false alarms on ordinary texts."""

from __future__ import annotations

import itertools
import re
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from javis.dataset import pii, pii_rules
from javis.dataset.pii import KINDS, MASKS, find, kinds, mask

PERSONAL = {
    "email": ["kim@example.com", "메일은 hong.gildong@naver.com입니다", "a＠b.co.kr"],
    "resident_number": [
        "900101-1234568",
        "9001011234568",
        "주민번호 900101-1234567 입니다",
        "210301-3123456",
    ],
    "foreigner_number": ["외국인등록번호: 900101-5123456", "9001015123452"],
    "phone": [
        *("010-1234-5678", "01012345678로 전화 주세요", "010 1234 5678", "010.1234.5678"),
        *("+82 10-1234-5678", "+821012345678", "０１０－１２３４－５６７８", "0507-1234-5678"),
        *("02-123-4567", "(02) 1234-5678", "02)555-1234", "031-123-4567", "070-1234-5678"),
        *("+1 415 555 2671", "(415) 555-2671", "415-555-2671", "call 010-1234-5678"),
    ],
    "account": [
        "국민은행 123456-12-123456 홍길동",
        "계좌번호: 110-123-456789",
        "카카오뱅크 3333-01-1234567",
        "계좌는 신한 110123456789 입니다",
        "하나 123-456789-01234",
    ],
    "card": ["4111-1111-1111-1111", "5500 0000 0000 0004", "4111111111111111", "378282246310005"],
    "business_number": ["124-81-00998", "사업자번호 1248100998"],
    "passport": ["여권번호 M12345678", "passport: M123A4567"],
    "driver_licence": ["11-22-123456-78"],
    "address": [
        "서울특별시 종로구 세종대로 209",
        "경기도 성남시 분당구 판교로 235",
        "서울 강남구 테헤란로 152 강남파이낸스센터 12층",
        "서울시 마포구 월드컵북로 400, 101동 1203호",
        "부산 해운대구 우동 1408번지",
        "전남 순천시 해룡면 신대리 1987",
    ],
    "ip": ["제 IP는 211.234.12.7 입니다", "2001:4860:4860::8888"],
    "secret": [
        "sk-proj-abcdefghijklmnopqrstuvwx",
        "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
        "AKIAIOSFODNN7EXAMPLE",
        "password: hunter2secret",
        "비밀번호는 abcd1234! 입니다",
        "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
    ],
}
ORDINARY = """
2024-01-15에 만나요
가격은 1,234,567원입니다
2023년 10월 5일 14시 30분
2024.01.15 13:45
매출 2023년 1,234,567,890원
인구 51,740,000명
통장 잔액 1,000,000원
버전 1.2.3.4 를 설치
Chrome 120.0.6099.109
v10.2.3.44
10.0.19045.3448
npm install @types/node@18.0.0
git@github.com:a/b.git
@decorator
127.0.0.1:7860
192.168.0.1
std::vector<int>
SM-G991N 모델
GPU RTX 4090, 24GB
ISBN 978-89-6848-123-4
총 12345678개
pi is 3.14159265358979
1600000000 seconds since 1970
주문번호 20240115-123456
종로 3가에서 만나
1588-1234로
for i in range(10**9)
서울에서 부산까지 325km
12:30:45
1234567890123
국민 10명 중 7명
우리 2024-2025 시즌
하나 20000000000 둘
RFC 2616, 7230-7235
password must have 8 characters
서울시 강남구 인구는 2023년 기준
경로 3개
별로 3점
대구시 중구로 2시간
수원시 영통구 인구 3만
IEEE 754-2019
ISO 8601-1:2019
CVE-2024-12345
커밋 a1b2c3d4e5f6
좌표 37.5665, 126.9780
우편번호 06236
UUID 123e4567-e89b-12d3-a456-426614174000
1 2 3 4 5 6 7 8 9 10 11 12
0000-0000-0000-0000
100-200-300
1000000000
4111-1111-1111-1112
900101-1234567
991332-1234567
124-81-00999
M12345678
우리 회사는 2010-2020 사이에 성장했습니다
""".strip().splitlines()


@pytest.mark.parametrize(("kind", "text"), [(k, t) for k, texts in PERSONAL.items() for t in texts])
def test_found_as_what_it_is_and_masked_whole(kind: str, text: str) -> None:
    assert kinds(text) == (kind,)
    masked = mask(text)
    assert find(masked) == []
    assert not re.search(r"\d{4}|@", masked.replace("[IP", "")) or kind == "address"


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_texts_are_left_alone(text: str) -> None:
    assert find(text) == []
    assert mask(text) == text


def test_the_mask_speaks_the_language_of_the_text() -> None:
    assert mask("전화는 010-1234-5678 입니다.") == "전화는 [전화번호] 입니다."
    assert mask("Call 010-1234-5678 now.") == "Call [phone] now."
    assert MASKS["ko"].keys() == MASKS["en"].keys() == set(KINDS)


def test_check_digits_count() -> None:
    """A broken variant: without the check every second number would be a card or a company."""
    numbers = [f"123-45-{n:05}" for n in range(67800, 67900)]
    assert sum(kinds(number) == ("business_number",) for number in numbers) == 10
    cards = [f"4111-1111-1111-{n:04}" for n in range(1000, 1100)]
    assert sum(kinds(card) == ("card",) for card in cards) == 10


def test_every_kind_of_a_text_is_named_once() -> None:
    text = "kim@example.com, lee@example.com, 010-1234-5678"
    assert kinds(text) == ("email", "phone")
    assert mask(text) == "[email], [email], [phone]"


plain = st.text(st.characters(codec="utf-8"), max_size=60)
personal = st.sampled_from([text for texts in PERSONAL.values() for text in texts])


@settings(max_examples=300)
@given(st.lists(plain | personal, max_size=6))
def test_masking_removes_what_was_found_and_nothing_else(pieces: list[str]) -> None:
    text = "\n".join(pieces)
    found = find(text)
    assert all(a.end <= b.start for a, b in itertools.pairwise(found))
    words = {word for table in MASKS.values() for word in table.values()}
    masked = mask(text)
    assert find(masked) == []
    # Taking out what was found, and the words that stand for it, leaves the same text.
    rest, end = "", 0
    for one in found:
        rest += text[end : one.start]
        end = one.end
    rest += text[end:]
    if not any(word in text for word in words):
        for word in sorted(words, key=len, reverse=True):
            masked = masked.replace(word, "")
        assert masked == rest


def test_what_a_surer_kind_leaves_of_another_is_masked_too() -> None:
    # The address would reach into the telephone number.
    assert mask("가시 0로0\n02)123.4567") == "[주소]\n[전화번호]"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("내 비밀번호는 abc123!!", "secret"),
        ("입금 계좌 110-234-567890 신한은행", "account"),
        ("서울 강남구 테헤란로 152", "address"),
    ],
)
def test_hangul_taken_apart_is_hangul(text: str, kind: str) -> None:
    apart = unicodedata.normalize("NFD", text)
    assert kinds(apart) == kinds(text) == (kind,)
    assert mask(apart) == mask(text)
    nothing = unicodedata.normalize("NFD", "오늘 날씨 3도")
    assert mask(nothing) == nothing


@given(plain)
def test_the_quick_look_misses_nothing(text: str) -> None:
    found = find(text)
    if not pii_rules.may_hold(text):
        assert found == []


@pytest.mark.parametrize(
    "text",
    [
        *("1" * 50_000, "1-" * 30_000, "1 " * 30_000, "a@" * 20_000, "a." * 20_000),
        *("가나시 " * 10_000, "서울시 강남구 " * 5_000, "12 로 " * 10_000, "eyJ" * 10_000),
        *("비밀번호" * 10_000 + "1", "-----BEGIN PRIVATE KEY-----" * 500, "1:2:" * 10_000),
        *("강남구 가나다로 1가" * 3_000, "+1 " * 20_000, "가" * 30_000 + "1"),
        # What a small model writes when it loops.
        *(
            "강남구 " + "가" * 5_000 + "! 동1",
            "강남구 " + "가동리" * 60 + "!",
            "password" + "is" * 9_000,
        ),
        *(
            "서울시 강남구 " + "동가 " * 3_000,
            "암호" + "은는이가" * 5_000,
            "비번 : " + " " * 20_000,
        ),
    ],
)
def test_no_text_takes_long(text: str) -> None:
    start = time.perf_counter()
    pii.mask(text)
    assert time.perf_counter() - start < 3
