"""Answers in Korean: what is a word, a heading and an address there."""

from __future__ import annotations

from playwright.sync_api import Page

from tests.e2e.conftest import Open

WORDS = (
    "보고서_최종_수정.docx",
    "가__나__다",
    "snake_case_name",
    "naïve_été_x",
)
"""No "_" in these begins anything."""

HEADINGS = (
    ("## 3. C#", "3. C#"),
    ("## Title ##", "Title"),
    ("# C# and F# #", "C# and F#"),
    ("## a#b", "a#b"),
)
WIKI = "https://ko.wikipedia.org/wiki/서울_(도시)"
ADDRESSES = (
    ("https://example.com에서 확인하세요", "https://example.com"),
    ("https://www.law.go.kr을 보세요", "https://www.law.go.kr"),
    ("http://localhost:7860에", "http://localhost:7860"),
    ("https://example.com查看", "https://example.com"),
    ("https://example.com.그리고", "https://example.com"),
    ("“https://example.com”", "https://example.com"),
    ("https://한글.한국 입니다", "https://한글.한국"),
    ("https://한글.kr에서", "https://한글.kr"),
    ("https://www.한글.kr/길", "https://www.한글.kr/길"),
    ("https://münchen.de/weg", "https://münchen.de/weg"),
    (f"{WIKI} 참고", WIKI),
    (f"({WIKI})", WIKI),
    (f"{WIKI}에서", WIKI),
    ("(https://a.kr/c)", "https://a.kr/c"),
    ("https://a.kr/c에서는, x", "https://a.kr/c"),
    ("https://a.kr/를 보세요", "https://a.kr/"),
    ("https://a.kr/wiki/이", "https://a.kr/wiki/이"),
    ("https://a.kr/을지로", "https://a.kr/을지로"),
    ("https://a.kr/?q=한글&x=1.", "https://a.kr/?q=한글&x=1"),
    ("Is it https://a.kr?", "https://a.kr"),
)


def drawn(page: Page, text: str) -> str:
    """The HTML of a text that is drawn as an answer."""
    return str(
        page.evaluate(
            """(text) => {
                const host = document.createElement("div");
                window.jvWires.draw(host, text);
                return host.innerHTML;
            }""",
            text,
        )
    )


def test_a_line_inside_a_word_is_a_character(open_page: Open) -> None:
    page = open_page()
    assert [drawn(page, text) for text in WORDS] == [f"<p>{text}</p>" for text in WORDS]
    assert (
        drawn(page, "_강조_ 그리고 __중요__") == "<p><em>강조</em> 그리고 <strong>중요</strong></p>"
    )


def test_only_a_mark_apart_closes_a_heading(open_page: Open) -> None:
    page = open_page()
    for text, shown in HEADINGS:
        assert f">{shown}</h" in drawn(page, text)


def test_a_bare_address_ends_where_korean_goes_on(open_page: Open) -> None:
    page = open_page()
    found = page.evaluate(
        """(texts) => texts.map((text) => {
            const host = document.createElement("div");
            window.jvWires.draw(host, text);
            const links = [...host.querySelectorAll("a")].map((a) => a.getAttribute("href"));
            return [host.textContent, links];
        })""",
        [text for text, _ in ADDRESSES],
    )
    assert found == [[text, [address]] for text, address in ADDRESSES]
