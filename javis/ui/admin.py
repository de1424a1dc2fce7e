"""The admin tab: what new chats begin with, and how the running program is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import gradio as gr

from javis.core.errors import JavisError, UserInputError
from javis.core.types import MAX_TOKENS_LIMIT, SamplingParams
from javis.service.services import Services
from javis.ui.edge import FORM, Edge, Handler, Json, Payload, User
from javis.ui.labels import Words
from javis.ui.places import place

PLACES = ("jv-sections", "jv-train", "jv-evaluate", "jv-versions", "jv-dashboard")
"""What the script draws in; the last section is of Gradio parts."""


class AdminTab:
    """Every callback asks first whether the caller is an admin; hiding the tab protects nothing."""

    def __init__(self, services: Services, edge: Edge) -> None:
        self._services = services
        self._edge = edge
        with gr.Column(elem_id="jv-admin"), gr.Column(elem_id="jv-admin-column"):
            for elem_id in PLACES:
                place(elem_id)
            with gr.Column(elem_id="jv-system"):
                place("jv-state")
                with gr.Column(elem_id="jv-defaults", elem_classes="jv-card"):
                    self._form()

    def _form(self) -> None:
        sampling = SamplingParams()
        with gr.Row(elem_classes="jv-pair"):
            self._temperature = gr.Slider(
                0, 2, sampling.temperature, step=0.05, elem_id="jv-admin-temperature"
            )
            self._top_p = gr.Slider(0.05, 1, sampling.top_p, step=0.01, elem_id="jv-admin-top-p")
        with gr.Row(elem_classes="jv-pair"):
            self._max_tokens = gr.Slider(
                16,
                min(MAX_TOKENS_LIMIT, self._services.admin.model.context_tokens),
                sampling.max_tokens,
                step=16,
                elem_id="jv-admin-max-tokens",
            )
            self._penalty = gr.Slider(
                0.8, 1.5, sampling.repetition_penalty, step=0.01, elem_id="jv-admin-penalty"
            )
        self._system_prompt = gr.Textbox(
            "", lines=3, max_lines=10, elem_id="jv-admin-system-prompt"
        )
        self._goal = gr.Number(None, precision=0, elem_id="jv-admin-goal")
        self._examples = gr.Checkbox(True, elem_id="jv-admin-examples")
        self._save = gr.Button(variant="primary", elem_id="jv-admin-save")

    def _fields(self) -> list[gr.components.Component]:
        return [
            self._temperature,
            self._top_p,
            self._max_tokens,
            self._penalty,
            self._system_prompt,
            self._goal,
            self._examples,
        ]

    def words(self) -> list[Words]:
        return [
            Words(self._temperature, label="controls.temperature"),
            Words(self._top_p, label="controls.top_p", info="controls.top_p_info"),
            Words(self._max_tokens, label="controls.max_tokens", info="controls.max_tokens_info"),
            Words(self._penalty, label="controls.penalty", info="controls.penalty_info"),
            Words(self._system_prompt, label="controls.system_prompt", placeholder="admin.prompt"),
            Words(self._goal, label="admin.goal", info="admin.goal_info"),
            Words(self._examples, label="admin.examples", info="admin.examples_info"),
            Words(self._save, value="save"),
        ]

    def table(self) -> dict[str, Handler]:
        """Small questions of the admin, beside those of everybody."""
        return {
            "admin_state": self._state,
            "admin_backup": self._backup,
        }

    def attach(self, calls: gr.HTML, language: gr.Textbox) -> Callable[..., Any]:
        """Wire it up. Returns what chains an event to a save."""
        filled = calls.admin_open(
            self._values_callback(),
            outputs=self._fields(),
            show_progress="hidden",
            queue=False,
            api_visibility="private",
        )
        filled.then(None, js="() => window.jvWires.formFilled()")
        saved = self._save.click(
            self._save_callback(),
            inputs=[language, *self._fields()],
            outputs=calls,
            show_progress="hidden",
            queue=False,
            preprocess=False,
            api_visibility="private",
        )
        then: Callable[..., Any] = saved.then
        return then

    def _values_callback(self) -> Callable[..., list[Any]]:
        def values(request: gr.Request) -> list[Any]:
            try:
                self._edge.admin(request)
                return self._values()
            except JavisError:
                return [gr.skip()] * len(self._fields())

        return values

    def _values(self) -> list[Any]:
        preferences = self._services.preferences
        sampling = preferences.sampling()
        return [
            sampling.temperature,
            sampling.top_p,
            sampling.max_tokens,
            sampling.repetition_penalty,
            preferences.system_prompt(),
            preferences.readiness_goal(),
            preferences.use_corrections(),
        ]

    def _save_callback(self) -> Callable[..., Json]:
        def save_defaults(
            language: object,
            temperature: object,
            top_p: object,
            max_tokens: object,
            penalty: object,
            system_prompt: object,
            goal: object,
            examples: object,
            request: gr.Request,
        ) -> Json:
            def work() -> Json:
                self._edge.admin(request)
                # SamplingParams refuses what is no number in range.
                sampling = SamplingParams(
                    temperature=cast(float, temperature),
                    top_p=cast(float, top_p),
                    max_tokens=cast(int, max_tokens),
                    repetition_penalty=cast(float, penalty),
                )
                self._keep(sampling, system_prompt, goal)
                self._services.preferences.set_use_corrections(examples)
                return {"saved": "defaults", "prompt": system_prompt}

            return self._edge.reply(Payload({"lang": language, "call": FORM}), work)

        return save_defaults

    def _keep(self, sampling: SamplingParams, system_prompt: object, goal: object) -> None:
        if not isinstance(system_prompt, str):
            raise UserInputError("not_text", "{what} must be text.", what="The system prompt")
        if isinstance(goal, float) and goal.is_integer():
            goal = int(goal)
        # The one that can be refused goes first, so that a refusal leaves all as it was.
        self._services.preferences.set_readiness_goal(goal)
        self._services.preferences.set_system_prompt(system_prompt)
        self._services.preferences.set_sampling(sampling)

    # State ---------------------------------------------------------------------------------

    def _state(self, user: User, payload: Payload) -> Json:
        self._edge.require_admin(user)
        admin = self._services.admin
        return {
            "health": admin.health(),
            "why": [self._edge.texts.chosen(payload.language, said) for said in admin.why],
            "memory": admin.memory_bytes(),
            "store": admin.store_health(),
        }

    def _backup(self, user: User, payload: Payload) -> Json:
        self._edge.require_admin(user)
        target = self._services.admin.backup(self._services.settings.data_dir / "backups")
        return {"path": str(target), "state": self._state(user, payload)}
