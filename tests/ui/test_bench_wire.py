"""The bench of the page's wire asks as the page does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from javis.bench.page import Wire
from javis.core.types import SamplingParams
from tests.e2e.serving import scripted, serve


def test_the_wire_asks_with_the_stored_defaults_and_times_all_frames(tmp_path: Path) -> None:
    with serve(tmp_path, scripted()) as served:
        speed = Wire(served.url.rstrip("/")).decode("count for the bench")
        ((found,), _) = served.services.library.page("local")
        (turn,) = served.services.chat.view("local", found.id).turns
    assert turn.turn.reply.endswith("398 399")
    assert replace(turn.turn.sampling, seed=None) == SamplingParams()
    assert 10 < speed < 2000
