"""The stored defaults in the controls: at every load of the page, and when they were changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from javis.core.errors import JavisError
from javis.service.services import Services
from javis.ui.controls import ControlBar
from javis.ui.edge import Edge


def attach_defaults(
    services: Services, edge: Edge, bar: ControlBar, *events: Callable[..., Any]
) -> None:
    """Fill the controls after each of `events`."""
    controls = [bar.temperature, bar.top_p, bar.max_tokens, bar.penalty, bar.system_prompt]

    def defaults(request: gr.Request) -> Sequence[Any]:
        try:
            edge.user(request)
            sampling = services.preferences.sampling()
            prompt = services.preferences.system_prompt()
        except JavisError:
            return [gr.skip()] * len(controls)
        return [
            sampling.temperature,
            sampling.top_p,
            sampling.max_tokens,
            sampling.repetition_penalty,
            prompt,
        ]

    for event in events:
        event(
            defaults,
            outputs=controls,
            show_progress="hidden",
            queue=False,
            api_visibility="private",
        )
