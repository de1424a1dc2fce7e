"""The words on Gradio's own components, by text key."""

from __future__ import annotations

from typing import Any

import gradio as gr

from javis.ui.texts import Texts


class Words:
    """A component and the text key of each of its worded properties."""

    def __init__(self, component: gr.components.Component, **keys: str) -> None:
        self.component = component
        self._keys = keys

    def said(self, texts: Texts, language: str) -> dict[str, Any]:
        return {prop: texts.say(language, key) for prop, key in self._keys.items()}
