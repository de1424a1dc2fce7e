"""What the controls begin with: the stored defaults, and what this browser chose before."""

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
    *,
    temperature: bool = True,
) -> None:
    """Fill the controls after `event`.

    At a load the temperature is left to `Relabel`, which knows what this browser had chosen.
    """
    controls = [bar.top_p, bar.max_tokens, bar.penalty]
    if temperature:
        controls.append(bar.temperature)

    def defaults(request: gr.Request) -> Sequence[Any]:
        try:
            edge.user(request)
            sampling = services.preferences.sampling()
        except JavisError:
            return [gr.skip()] * len(controls)
        values = [sampling.top_p, sampling.max_tokens, sampling.repetition_penalty]
        return [*values, sampling.temperature] if temperature else values

    event(
        defaults,
        outputs=controls,
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
    """Let the browser keep the two choices that are always in view."""
    for name, component in (("version", bar.version), ("temperature", bar.temperature)):
        component.input(
            None, inputs=component, js=f"(value) => {{ window.jvWires?.keep('{name}', value); }}"
        )
