"""Puts Gradio's own components into the page's language, without touching what they hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from javis.core.errors import JavisError
from javis.service.services import Services
from javis.ui.controls import ControlBar, version_choices
from javis.ui.edge import Edge, Payload
from javis.ui.labels import Words


class Relabel:
    """One event for the language switch and for the first look at the page."""

    def __init__(
        self, services: Services, edge: Edge, bar: ControlBar, words: Sequence[Words]
    ) -> None:
        self._services = services
        self._edge = edge
        self._bar = bar
        self._words = words

    def attach(self, calls: gr.HTML, language: gr.Textbox) -> None:
        calls.relabel(
            self._callback(),
            outputs=[language, *(w.component for w in self._words)],
            show_progress="hidden",
            trigger_mode="multiple",
            queue=False,
            api_visibility="private",
        )

    def updates(self, language: str) -> list[Any]:
        """The language itself, then an update for each component."""
        found: list[Any] = [language]
        for words in self._words:
            update = words.said(self._edge.texts, language)
            if words.component is self._bar.version:
                update["choices"] = version_choices(self._services, self._edge.texts, language)
            elif words.component is self._bar.preset:
                update["choices"] = list(self._services.preferences.presets())
            found.append(gr.update(**update))
        return found

    def _callback(self) -> Callable[..., list[Any]]:
        def relabel(event: gr.EventData, request: gr.Request) -> list[Any]:
            try:
                self._edge.user(request)
                return self.updates(Payload(event._data).language)
            except JavisError:
                return [gr.skip()] * (1 + len(self._words))

        return relabel
