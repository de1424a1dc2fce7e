"""Places that the page's script fills."""

from __future__ import annotations

import gradio as gr


def place(elem_id: str) -> None:
    """An empty place; Gradio never draws in it again."""
    gr.HTML(
        html_template='<div class="jv-place"></div>',
        js_on_load=None,
        apply_default_css=False,
        elem_id=elem_id,
    )
