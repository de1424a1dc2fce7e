"""은(는), 이(가), 을(를), (으)로 after words, numbers and names."""

from __future__ import annotations

import pytest

from javis.core.errors import JavisError
from javis.ui.particles import settle
from javis.ui.texts import Texts


@pytest.mark.parametrize(
    ("text", "settled"),
    [
        ("제목은(는) 비었습니다.", "제목은 비었습니다."),
        ("온도은(는) 숫자입니다.", "온도는 숫자입니다."),
        ("파일이(가) 없고 폴더이(가) 있다", "파일이 없고 폴더가 있다"),
        ("‘사과’을(를) 골랐다", "‘사과’를 골랐다"),
        ("‘귤’을(를) 골랐다", "‘귤’을 골랐다"),
        ("v1.0(으)로 되돌리기", "v1.0으로 되돌리기"),
        ("v1.1(으)로, v1.2(으)로, v1.7(으)로", "v1.1로, v1.2로, v1.7로"),
        ("서울(으)로 부산(으)로 제주(으)로", "서울로 부산으로 제주로"),
        ("config.json이(가) 없습니다", "config.json이(가) 없습니다"),
    ],
)
def test_the_particle_follows_the_last_sound(text: str, settled: str) -> None:
    assert settle(text) == settled


def test_the_pages_sentences_are_settled() -> None:
    error = JavisError("id_taken", "{id} is taken.", id="기록7")
    assert Texts().error("ko", error).startswith("기록7은 이미")
