"""A small figure for the documentation."""

from __future__ import annotations

from collections.abc import Mapping

WIDTH, HEIGHT, LEFT, BOTTOM = 480, 260, 56, 48


def curve_svg(rates: Mapping[int, float]) -> str:
    """Style rate against the number of liked chats, as an SVG picture."""
    highest = max(rates)
    points = [(_x(count, highest), _y(rate), count, rate) for count, rate in sorted(rates.items())]
    line = " ".join(f"{x:.0f},{y:.0f}" for x, y, _, _ in points)
    grid = "".join(
        f'<line x1="{LEFT}" x2="{WIDTH - 12}" y1="{_y(r):.0f}" y2="{_y(r):.0f}" stroke="#d0d7d6"/>'
        f'<text x="{LEFT - 8}" y="{_y(r) + 4:.0f}" text-anchor="end">{r:.0%}</text>'
        for r in (0, 0.25, 0.5, 0.75, 1)
    )
    marks = "".join(
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4" fill="#0b6e66"/>'
        f'<text x="{x:.0f}" y="{y - 10:.0f}" text-anchor="middle">{rate:.0%}</text>'
        f'<text x="{x:.0f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{count}</text>'
        for x, y, count, rate in points
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#1f2d2b">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>{grid}'
        f'<polyline points="{line}" fill="none" stroke="#0b6e66" stroke-width="2"/>{marks}'
        f'<text x="{WIDTH / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">liked chats</text>'
        "</svg>\n"
    )


def _x(count: int, highest: int) -> float:
    return LEFT + 24 + (WIDTH - LEFT - 60) * count / highest


def _y(rate: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 28) * rate
