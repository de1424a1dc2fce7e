"""The controls below the composer: version, temperature, and the rest behind "advanced"."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from javis.core.types import BASE, MAX_TOKENS_LIMIT
from javis.service.services import Services
from javis.ui.labels import Words
from javis.ui.texts import Texts


@dataclass(frozen=True, slots=True)
class ControlBar:
    """The Gradio components whose values go with every message."""

    version: gr.Dropdown
    temperature: gr.Slider
    top_p: gr.Slider
    max_tokens: gr.Slider
    penalty: gr.Slider
    seed: gr.Textbox
    system_prompt: gr.Textbox
    preset: gr.Dropdown
    save_preset: gr.Button
    delete_preset: gr.Button

    def inputs(self) -> list[gr.components.Component]:
        """In the order of `answering.Controls`."""
        return [
            self.version,
            self.temperature,
            self.top_p,
            self.max_tokens,
            self.penalty,
            self.seed,
            self.system_prompt,
        ]

    def sampling(self) -> dict[str, gr.components.Component]:
        """By the names of `SamplingParams`; the seed is for one message."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "repetition_penalty": self.penalty,
        }

    def words(self) -> list[Words]:
        return [
            Words(self.version, label="controls.version"),
            Words(self.temperature, label="controls.temperature"),
            Words(self.top_p, label="controls.top_p", info="controls.top_p_info"),
            Words(self.max_tokens, label="controls.max_tokens", info="controls.max_tokens_info"),
            Words(self.penalty, label="controls.penalty", info="controls.penalty_info"),
            Words(self.seed, label="controls.seed", placeholder="controls.seed_placeholder"),
            Words(
                self.system_prompt,
                label="controls.system_prompt",
                placeholder="controls.system_prompt_placeholder",
            ),
            Words(self.preset, label="controls.preset"),
            Words(self.save_preset, value="controls.preset_save"),
            Words(self.delete_preset, value="controls.preset_delete"),
        ]


def version_choices(services: Services, texts: Texts, language: str) -> list[tuple[str, str]]:
    """What the dropdown shows of each usable version, and its name."""
    current = services.versions.current()
    choices = []
    for version in services.versions.usable():
        word = texts.say(language, "controls.base") if version.name == BASE else version.name
        if version.name == current and len(services.versions.usable()) > 1:
            word = texts.say(language, "controls.live", name=word)
        choices.append((word, version.name))
    return choices


def toolbar_controls(services: Services) -> tuple[gr.Dropdown, gr.Slider]:
    """The two controls that are always in view."""
    sampling = services.preferences.sampling()
    version = gr.Dropdown(
        [v.name for v in services.versions.usable()],
        value=services.versions.current(),
        elem_id="jv-version",
        filterable=False,
        container=True,
        min_width=90,
        scale=0,
    )
    temperature = gr.Slider(
        0,
        2,
        sampling.temperature,
        step=0.05,
        elem_id="jv-temperature",
        min_width=90,
        scale=0,
    )
    return version, temperature


def advanced_panel(services: Services, version: gr.Dropdown, temperature: gr.Slider) -> ControlBar:
    """The panel behind the button; closed until asked for."""
    sampling = services.preferences.sampling()
    with gr.Row(elem_classes="jv-pair"):
        top_p = gr.Slider(0.05, 1, sampling.top_p, step=0.01, elem_id="jv-top-p")
        penalty = gr.Slider(0.8, 1.5, sampling.repetition_penalty, step=0.01, elem_id="jv-penalty")
    with gr.Row(elem_classes="jv-pair"):
        max_tokens = gr.Slider(
            16,
            min(MAX_TOKENS_LIMIT, services.admin.model.context_tokens),
            sampling.max_tokens,
            step=16,
            elem_id="jv-max-tokens",
        )
        seed = gr.Textbox("", max_lines=1, elem_id="jv-seed")
    system_prompt = gr.Textbox(
        services.preferences.system_prompt(), lines=3, max_lines=8, elem_id="jv-system-prompt"
    )
    with gr.Row(elem_classes="jv-presets"):
        preset = gr.Dropdown(
            list(services.preferences.presets()),
            value=None,
            elem_id="jv-preset",
            allow_custom_value=True,
        )
        save = gr.Button(elem_id="jv-preset-save", size="sm", scale=0)
        delete = gr.Button(elem_id="jv-preset-delete", size="sm", scale=0)
    return ControlBar(
        version,
        temperature,
        top_p,
        max_tokens,
        penalty,
        seed,
        system_prompt,
        preset,
        save,
        delete,
    )
