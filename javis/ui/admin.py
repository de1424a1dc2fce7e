"""The admin tab."""

from __future__ import annotations

import gradio as gr

from javis.service.services import Services
from javis.ui.controls import Relabelled
from javis.ui.edge import Edge


class AdminTab:
    """Stub."""

    def __init__(self, services: Services, edge: Edge) -> None:
        self._services = services
        self._edge = edge
        with gr.Column(elem_id="jv-admin"):
            pass

    def worded(self) -> Relabelled:
        return []

    def attach(self, calls: gr.HTML) -> None:
        """Nothing yet."""
