"""Presets: system prompts under a name, behind "advanced"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from javis.core.errors import JavisError, UserInputError
from javis.service.services import Services
from javis.ui.controls import ControlBar
from javis.ui.edge import FORM, Edge, Json, Payload


class Presets:
    """Choosing one fills the system prompt in; a new name and "save" keeps what is written."""

    def __init__(self, services: Services, edge: Edge, bar: ControlBar) -> None:
        self._preferences = services.preferences
        self._edge = edge
        self._bar = bar

    def attach(self, calls: gr.HTML, language: gr.Textbox) -> None:
        how: dict[str, Any] = {
            "show_progress": "hidden",
            "queue": False,
            "preprocess": False,
            "api_visibility": "private",
        }
        bar = self._bar
        bar.preset.input(self._chosen(), inputs=bar.preset, outputs=bar.system_prompt, **how).then(
            None,
            inputs=bar.system_prompt,
            js="(text) => { window.jvWires?.prompted(text); }",
            show_progress="hidden",
            queue=False,
            api_visibility="private",
        )
        bar.save_preset.click(
            self._saved(),
            inputs=[language, bar.preset, bar.system_prompt],
            outputs=[calls, bar.preset],
            **how,
        )
        bar.delete_preset.click(
            self._deleted(), inputs=[language, bar.preset], outputs=[calls, bar.preset], **how
        )

    def _chosen(self) -> Callable[..., Any]:
        def choose_preset(name: object, request: gr.Request) -> Any:
            try:
                self._edge.user(request)
            except JavisError:
                return gr.skip()
            presets = self._preferences.presets()
            return presets[name] if isinstance(name, str) and name in presets else gr.skip()

        return choose_preset

    def _saved(self) -> Callable[..., tuple[Json, Any]]:
        def save_preset(
            language: object, name: object, text: object, request: gr.Request
        ) -> tuple[Json, Any]:
            def work() -> Json:
                # All users share the presets.
                self._edge.admin(request)
                named = _named(name)
                if not isinstance(text, str):
                    raise UserInputError(
                        "not_text", "{what} must be text.", what="The system prompt"
                    )
                self._preferences.save_preset(named, text)
                return {"saved": "preset"}

            return self._done(language, work, name.strip() if isinstance(name, str) else name)

        return save_preset

    def _deleted(self) -> Callable[..., tuple[Json, Any]]:
        def delete_preset(language: object, name: object, request: gr.Request) -> tuple[Json, Any]:
            def work() -> Json:
                # All users share the presets.
                self._edge.admin(request)
                self._preferences.delete_preset(_named(name))
                return {"saved": "preset_deleted"}

            return self._done(language, work, None)

        return delete_preset

    def _done(self, language: object, work: Callable[[], Json], value: object) -> tuple[Json, Any]:
        reply = self._edge.reply(Payload({"lang": language, "call": FORM}), work)
        if "error" in reply:
            return reply, gr.skip()
        return reply, gr.update(choices=list(self._preferences.presets()), value=value)


def _named(name: object) -> str:
    if not isinstance(name, str) or not name.strip():
        raise UserInputError("no_preset_name", "Choose a preset first, or write its name.")
    return name
