"""Formulas in answers: drawn where they are meant, text where not, and harmless everywhere."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import Open
from tests.e2e.steps import act, chat

ANSWER = r"""Euler: $e^{i\pi} + 1 = 0$, and \(a_n = \frac{1}{n^2}\) is the $n$th.

$$\int_0^1 x^2\,dx = \frac{1}{3}$$

So:
\[
x_{1,2} = \frac{-b
- \sqrt{b^2 - 4ac}}{2a}
\]
For $5 and $10, not for `$x^2$`:

```
$$y$$
```"""
TEXTS = (
    "It costs $5 and $10.",
    "From $5-$10 to $20.",
    "US$5 or US$6",
    "$HOME/$USER and $PATH",
    "a $ b $ c",
    "Price: $ low, $$ middle, $$$ high",
    "$$",
    "$$$$",
    "$$ $$",
    r"\( \) and \[ \]",
    r"\[x\] done, see \[1\] and \[1, 2\]",
    r"\[words\](https://example.com)",
    r"\\(x\\)",
    r"\$x\$",
    "`$x$` and `\\(x\\)`",
    "$x `$ y`",
    "```\n$x$ \\(y\\)\n$$z$$\n```",
)
FORMULAS = (
    ("$x$", 1),
    ("$x$-axis, $y$.", 2),
    ("the $n$th and the $i$s", 2),
    ("$x$는 $y$의 두 배", 2),
    (r"$\$5 + x$", 1),
    ("**$x$** and _the $y$_", 2),
    ("| a |\n|-|\n| $x$ |", 1),
    ("- one\n  $$\n  x\n  + y\n  $$\n- two", 1),
    ("Words\n$$\nx\n- y\n$$\nwords", 1),
    (r"\(x\)\[y\]", 2),
)
MISTAKES = (r"\frac{1}{", r"\unknown{x}", r"x \\ & y }", "x^2^2")
HOSTILE = (
    r"\href{javascript:window.marker=1}{x}",
    r"\url{javascript:window.marker=1}",
    r"\includegraphics{https://evil.example/x.png}",
    r"\class{jv-turn}{x}",
    r"\htmlClass{jv-turn}{x}",
    r"\id{jv-text}{x}",
    r"\style{position:fixed;inset:0}{x}",
    r"\data{act=copy}{x}",
    r"\label{jv-text} x \ref{jv-text}",
    r"<img src=x onerror=window.marker=1>",
    r"\text{<img src=x onerror=window.marker=1>}",
    r"</math><script>window.marker=1</script>",
    r"\color{red;background:url(https://evil.example/x)}{x}",
    r"\def\a{\a\a}\a",
    r"\gdef\frac{x}\frac",
    r"\newcommand{\b}[1]{#1#1#1#1#1#1#1#1}\b{\b{\b{\b{\b{\b{\b{x}}}}}}}",
    r"\rule{99999em}{99999em}\raisebox{-99999em}{x}\kern{-99999pt}",
    r"\__proto__ \constructor \hasOwnProperty",
    "{" * 1900 + "}" * 1900,
    r"\sqrt{" * 600 + "}" * 600,
    r"\left(" * 300 + r"\right)" * 300,
    "x^" * 1900 + "x",
)
ENDLESS = r"\equilibriumRight{" * 150 + "x" + "}" * 150
"""Each level is built twice by what reads it."""


WHOLE = (
    "$" + "x" * 100_000 + "$",
    "$$" + "x+" * 50_000 + "$$",
    r"\(" + "*a* " * 25_000 + r"\)",
    "{" * 100_000,
)
"""Too long for a formula: as they are."""
HUGE = (
    *WHOLE,
    "$x$" * 7_000,
    r"\(" * 20_000,
    r"\[" * 20_000,
    r"\[a\](" * 10_000,
    "$$a" * 20_000,
    "$\\" * 20_000,
)


def draw(page: Page, text: str) -> None:
    """Draw a text as an answer into the element `#probe` of the open conversation."""
    page.evaluate(
        """(text) => {
            document.getElementById("probe")?.remove();
            const host = document.createElement("div");
            Object.assign(host, { id: "probe", className: "jv-md" });
            document.getElementById("jv-column").append(host);
            window.jvWires.draw(host, text);
        }""",
        text,
    )


def settle(page: Page) -> None:
    """Wait until a formula that was asked for now is drawn, and with it all before it."""
    number = page.evaluate("window.jvProbe = (window.jvProbe ?? 0) + 1")
    page.evaluate(
        """(text) => {
            const host = document.getElementById("jv-hello");
            host.replaceChildren();
            window.jvWires.draw(host, text);
            host.jvBlocks = [];
        }""",
        f"$z_{{{number}}}$",
    )
    expect(page.locator("#jv-hello .is-drawn")).to_have_count(1)


def test_an_answer_with_formulas(open_page: Open) -> None:
    page = open_page(user="formulas", permissions=["clipboard-read", "clipboard-write"])
    chat(page, "no formula yet")
    assert page.workers == []
    turn = chat(page, "raw:" + ANSWER)
    drawn = turn.locator(".jv-math.is-drawn")
    expect(drawn).to_have_count(5)
    expect(turn.locator(".jv-math")).to_have_count(5)
    assert len(page.workers) == 1
    expect(turn.get_by_role("math")).to_have_count(5)
    # The parts of a formula are there for whoever listens to it, and its source beside them.
    expect(turn.locator("mfrac")).to_have_count(3)
    expect(turn.locator("math").nth(1)).to_have_attribute("alttext", r"a_n = \frac{1}{n^2}")
    expect(turn.locator(".jv-math-block math[display=block]")).to_have_count(2)
    expect(turn.locator("p").last).to_have_text("For $5 and $10, not for $x^2$:")
    expect(turn.locator("pre code")).to_have_text("$$y$$")
    act(turn, "copy").click()
    expect(page.locator(".jv-toast")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == ANSWER
    page.reload()
    expect(page.locator(".jv-math.is-drawn")).to_have_count(5)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_formula_has_the_colour_of_the_text(open_page: Open, scheme: str) -> None:
    page = open_page(user=f"formulas-{scheme}", color_scheme=scheme)
    turn = chat(page, r"raw:Words $\frac{x}{\sqrt{2}}$")
    expect(turn.locator(".is-drawn")).to_have_count(1)
    colours = turn.evaluate(
        "(n) => [...n.querySelectorAll('p, math, math *')].map(m => getComputedStyle(m).color)"
    )
    assert len(colours) > 5 and len(set(colours)) == 1


def test_what_is_a_formula_and_what_is_text(open_page: Open) -> None:
    page = open_page(user="formulas")
    for text in TEXTS:
        draw(page, text)
        assert page.locator("#probe .jv-math").count() == 0, text
    for text, count in FORMULAS:
        draw(page, text)
        expect(page.locator("#probe .is-drawn"), text).to_have_count(count)
        assert page.locator("#probe .jv-math").count() == count, text


def test_a_mistake_shows_the_source(open_page: Open) -> None:
    page = open_page(user="formulas")
    for source in MISTAKES:
        draw(page, f"Here: ${source}$ and \n\n$${source}$$")
        settle(page)
        shown = page.locator("#probe .jv-math")
        assert shown.all_text_contents() == [f"${source}$", f"$${source}$$"]
        assert page.locator("#probe .is-drawn, #probe .jv-math *").count() == 0


def test_a_hostile_formula_does_nothing(open_page: Open) -> None:
    page = open_page(user="formulas")
    text = "\n\n".join(f"${s}$ \\({s}\\)\n\n$${s}$$\n\n\\[{s}\\]" for s in HOSTILE)
    draw(page, text)
    settle(page)
    expect(page.locator("#probe .jv-math").nth(40)).to_be_attached()
    found = page.evaluate(
        """() => {
            const nodes = [...document.querySelectorAll("#probe .jv-math *")];
            const far = (n) => { const b = n.getBoundingClientRect(); return b.height > 1500; };
            return {
                tags: [...new Set(nodes.map((n) => n.namespaceURI.split("/").pop()))],
                names: [...new Set(nodes.flatMap((n) => [...n.attributes].map((a) => a.name)))]
                    .filter((a) => /^(on|data|id|name|href|src|title|xlink)/.test(a)),
                styles: nodes.map((n) => n.getAttribute("style") || "")
                    .filter((s) => /url|fixed|absolute/.test(s)),
                classes: nodes.filter((n) => /jv-/.test(n.getAttribute("class"))).length,
                far: [...document.querySelectorAll("#probe .is-drawn")].filter(far).length,
                marker: window.marker,
            };
        }"""
    )
    nothing = {"names": [], "styles": [], "classes": 0, "far": 0, "marker": None}
    assert found == {"tags": ["MathML"], **nothing}
    expect(page.locator("#jv-text")).to_have_count(1)


def test_a_formula_without_end_holds_nothing_up(open_page: Open) -> None:
    page = open_page(user="formulas")
    settle(page)
    longest = page.evaluate(
        """async (text) => {
            const host = document.createElement("div");
            window.jvWires.draw(host, text);
            let [longest, last] = [0, performance.now()];
            const end = last + 10000;
            while (host.querySelectorAll(".is-drawn").length < 1 && last < end) {
                await new Promise((done) => setTimeout(done, 5));
                longest = Math.max(longest, performance.now() - last);
                last = performance.now();
            }
            window.drawn = host.querySelectorAll(".is-drawn").length;
            return longest;
        }""",
        f"${ENDLESS}$ then $y_1$",
    )
    assert longest < 1000
    assert page.evaluate("window.drawn") == 1
    # Who sends more and more of them gets none drawn, but still all as text.
    draw(page, " ".join(f"${ENDLESS} {n}$" for n in range(4)) + " $y_2$")
    expect(page.locator("#probe .jv-math")).to_have_count(5)
    page.wait_for_timeout(5000)
    draw(page, "$y_3$")
    expect(page.locator("#probe .jv-math")).to_have_text("$y_3$")


def test_no_formula_costs_more_than_a_moment(open_page: Open) -> None:
    page = open_page(user="formulas")
    for text in HUGE:
        spent, shown = page.evaluate(
            """(text) => {
                const host = document.createElement("div");
                const start = performance.now();
                window.jvWires.draw(host, text);
                return [performance.now() - start, host.textContent];
            }""",
            text,
        )
        assert spent < 1500, text[:20]
        assert text not in WHOLE or shown.strip() == text


def test_while_it_grows_a_formula_is_its_source(open_page: Open) -> None:
    page = open_page(user="formulas")
    for source in (r"\(a*b*c_1 + d_2\)", "$$a*b*c$$", "$$\na*b*c\n- d\n$$", "\\[\na*b*c\n# d\n\\]"):
        growing = page.evaluate(
            """(source) => {
                const host = document.createElement("div");
                return [...source].slice(2).map((_, at) => {
                    // As the page does with an answer that is still written.
                    window.jvWires.draw(host, source.slice(0, at + 2).replace(/\\$+$/, ""));
                    const others = host.querySelectorAll("em, li, h2, .jv-math");
                    return [host.textContent.trim(), others.length];
                });
            }""",
            source,
        )
        assert len(growing) == len(source) - 2
        for at, (text, others) in enumerate(growing, 2):
            assert (text, others) == (source[:at].rstrip("$").strip(), 0)


def test_a_dollar_at_the_end_is_shown_in_the_end(open_page: Open) -> None:
    page = open_page(user="formulas")
    turn = chat(page, "raw:It costs five US$")
    expect(turn.locator(".jv-md")).to_have_text("It costs five US$")


def test_a_long_formula_scrolls_in_its_own_box(open_page: Open) -> None:
    page = open_page(user="formulas", viewport={"width": 390, "height": 800})
    row = " & ".join(["x"] * 40)
    wide = "+".join(f"a_{{{n}}}" for n in range(40))
    matrix = rf"\begin{{matrix}}{row}\end{{matrix}}"
    draw(
        page, f"$${wide}$$\n\nIn a line ${matrix}$ and ${wide}$.\n\n- $$ {matrix} $$\n- ${matrix}$"
    )
    expect(page.locator("#probe .is-drawn")).to_have_count(5)
    expect(page.locator("#probe .is-long")).to_have_count(2)
    page.wait_for_timeout(100)
    boxes = page.evaluate(
        """() => [...document.querySelectorAll("#probe div.jv-math, #probe .is-long")].map((n) =>
            [n.scrollWidth > n.clientWidth, n.clientWidth <= 390, n.tabIndex])"""
    )
    assert boxes == [[True, True, 0]] * 4
    wider = (
        "(id) => { const n = document.getElementById(id); return n.scrollWidth > n.clientWidth }"
    )
    assert not page.evaluate(wider, "jv-scroll")
