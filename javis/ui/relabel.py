"""Puts Gradio's own components into the page's language; what they hold only when asked to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.components import Component

from javis.core.errors import JavisError, UserInputError
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

    def updates(self, payload: Payload) -> list[Any]:
        """The language itself, then an update for each component."""
        language = payload.language
        found: list[Any] = [language]
        for words in self._words:
            update = words.said(self._edge.texts, language)
            if words.component is self._bar.version:
                update["choices"] = version_choices(self._services, self._edge.texts, language)
            elif words.component is self._bar.preset:
                update["choices"] = list(self._services.preferences.presets())
            if payload.get("values") is True:
                update |= self._value(words.component, payload)
            found.append(gr.update(**update))
        return found

    def _value(self, component: Component, payload: Payload) -> dict[str, Any]:
        """What this browser had chosen, if that can still be; else what everybody begins with."""
        if component is self._bar.version:
            usable = [v.name for v in self._services.versions.usable()]
            kept = payload.get("version")
            return {"value": kept if kept in usable else self._services.versions.current()}
        for name, control in self._bar.sampling().items():
            if component is control and name in payload:
                return {"value": self._sampled(name, payload.get(name))}
        return {}

    def _sampled(self, name: str, kept: object) -> object:
        usual = self._services.preferences.sampling()
        if isinstance(kept, float) and kept.is_integer():
            kept = int(kept)
        limit = self._services.admin.model.context_tokens
        if kept is None or (name == "max_tokens" and isinstance(kept, int) and kept > limit):
            return getattr(usual, name)
        chosen: dict[str, Any] = {name: kept}
        try:
            return getattr(replace(usual, **chosen), name)
        except UserInputError:
            return getattr(usual, name)

    def _callback(self) -> Callable[..., list[Any]]:
        def relabel(event: gr.EventData, request: gr.Request) -> list[Any]:
            try:
                self._edge.user(request)
                return self.updates(Payload(event._data))
            except JavisError:
                return [gr.skip()] * (1 + len(self._words))

        return relabel
