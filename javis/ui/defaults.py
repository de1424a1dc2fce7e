"""What the controls show once new defaults are stored, and what the browser keeps of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from javis.core.errors import JavisError
from javis.service.services import Services
from javis.ui.controls import ControlBar
from javis.ui.edge import Edge


def attach_defaults(
    services: Services,
    edge: Edge,
    bar: ControlBar,
    event: Callable[..., Any],
) -> None:
    """Fill the controls after `event`."""
    controls = bar.sampling()

    def defaults(request: gr.Request) -> Sequence[Any]:
        try:
            edge.user(request)
            sampling = services.preferences.sampling()
        except JavisError:
            return [gr.skip()] * len(controls)
        return [getattr(sampling, name) for name in controls]

    event(
        defaults,
        outputs=list(controls.values()),
        show_progress="hidden",
        queue=False,
        api_visibility="private",
    )


def attach_prompt(bar: ControlBar, calls: gr.HTML) -> None:
    """Let the script show the system prompt of the chat it opens; no preset is chosen then."""
    calls.prompt(
        None,
        outputs=[bar.system_prompt, bar.preset],
        js="() => [window.jvWires.prompt, null]",
        show_progress="hidden",
        queue=False,
        api_visibility="private",
    )


def attach_memory(bar: ControlBar) -> None:
    """Let the browser keep what is chosen."""
    for name, component in {"version": bar.version, **bar.sampling()}.items():
        component.input(
            None, inputs=component, js=f"(value) => {{ window.jvWires?.keep('{name}', value); }}"
        )
