"""Puts Gradio's own components into the page's language, without touching what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from javis.core.errors import JavisError
from javis.service.services import Services
from javis.ui.controls import ControlBar, version_choices
from javis.ui.edge import Edge, Payload

if TYPE_CHECKING:
    from javis.ui.admin import AdminTab


class Relabel:
    """One event for the language switch and for the first look at the page."""

    def __init__(self, services: Services, edge: Edge, bar: ControlBar, admin: AdminTab) -> None:
        self._services = services
        self._edge = edge
        self._bar = bar
        self._worded = [*bar.worded(), *admin.worded()]

    def attach(self, calls: gr.HTML) -> None:
        calls.relabel(
            self._callback(),
            outputs=[component for component, _ in self._worded],
            show_progress="hidden",
            trigger_mode="multiple",
            queue=False,
            api_visibility="private",
        )

    def updates(self, language: str) -> list[dict[str, Any]]:
        say = self._edge.texts.say
        found = []
        for component, keys in self._worded:
            words: dict[str, Any] = {prop: say(language, key) for prop, key in keys.items()}
            if component is self._bar.version:
                words["choices"] = version_choices(self._services, self._edge.texts, language)
            elif component is self._bar.preset:
                words["choices"] = list(self._services.preferences.presets())
            found.append(gr.update(**words))
        return found

    def _callback(self) -> Any:
        def relabel(event: gr.EventData, request: gr.Request) -> list[dict[str, Any]]:
            try:
                self._edge.user(request)
                return self.updates(Payload(event._data).language)
            except JavisError:
                return [gr.skip()] * len(self._worded)

        return relabel
