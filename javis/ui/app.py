"""The page: its layout, which callback serves which event, and how it is mounted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.route_utils import FnIndexInferError
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse

from javis.core.settings import Settings
from javis.service.services import Services
from javis.ui.admin import AdminTab
from javis.ui.answering import Answering, Controls
from javis.ui.arena import ArenaCalls
from javis.ui.calls import Calls
from javis.ui.comparing import Comparing, ask_wire
from javis.ui.controls import ControlBar, advanced_panel, toolbar_controls
from javis.ui.dashboard import DashboardPage
from javis.ui.defaults import attach_defaults, attach_memory, attach_prompt
from javis.ui.edge import Edge, Handler, Json, Payload, UserOf
from javis.ui.evaluating import Evaluating
from javis.ui.formulas import formulas_table
from javis.ui.frames import RestingFrames
from javis.ui.golden import Golden
from javis.ui.places import place
from javis.ui.presets import Presets
from javis.ui.relabel import Relabel
from javis.ui.reviewing import Reviewing
from javis.ui.texts import FALLBACK, Texts
from javis.ui.theme import theme
from javis.ui.training import Training
from javis.ui.unknown_session import RefuseUnknownSessions
from javis.ui.versioning import Versioning

_HERE = Path(__file__).parent
SIDE_WIRES = ("stops", "slow")
"""What must not wait for other questions, and what others must not wait for (`WIRES` in dom.js)."""
SCRIPTS = (
    "dom.js",
    "markdown.js",
    "code.js",
    "formula.js",
    "thread.js",
    "message.js",
    "thumbs.js",
    "golden.js",
    "arena.js",
    "arena_admin.js",
    "sidebar.js",
    "composer.js",
    "tabs.js",
    "dialog.js",
    "diff.js",
    "review.js",
    "review_card.js",
    "review_edit.js",
    "review_parts.js",
    "review_list.js",
    "review_more.js",
    "curve.js",
    "figures.js",
    "dashboard.js",
    "evaluate.js",
    "compare.js",
    "compare_figures.js",
    "compare_answers.js",
    "compare_votes.js",
    "train.js",
    "train_form.js",
    "train_live.js",
    "decide.js",
    "schedule.js",
    "versions.js",
    "pulse.js",
    "admin.js",
    "page.js",
)
STYLES = (
    *("style.css", "chat.css", "controls.css", "learn.css", "train.css", "compare.css"),
    "golden.css",
    "arena.css",
)
QUEUE_SIZE = 256
"""Events that may wait in Gradio's queue; more are refused."""
QUEUE_LOOK_S = 0.02
"""How long a click may lie unseen by Gradio's queue."""
CACHE_S = 3600
"""Gradio's own file cache is emptied this often of files this old."""

UNKNOWN = (KeyError, FnIndexInferError)
"""How Gradio's own routes fail when a request names no function of the page. What our functions
raise never comes so far."""

_FAVICON = (
    "data:image/svg+xml,"
    "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E"
    "%3Crect width='32' height='32' rx='9' fill='%230b6e66'/%3E"
    "%3Cpath d='M19.5 8v10.2a4.6 4.6 0 0 1-9 1.3' fill='none' stroke='white' stroke-width='3'"
    " stroke-linecap='round'/%3E%3Ccircle cx='23.6' cy='8.2' r='1.9' fill='%23f2b705'/%3E%3C/svg%3E"
)


def build_page(services: Services, user_of: UserOf) -> gr.Blocks:
    """The whole page. `user_of` names who asks; it is called for every single event."""
    texts = Texts()
    edge = Edge(user_of, texts)
    with Page(
        title="JAVIS",
        fill_width=True,
        analytics_enabled=False,
        delete_cache=(CACHE_S, CACHE_S),
    ) as page:
        with gr.Row(elem_id="jv-shell"):
            place("jv-side")
            with gr.Column(elem_id="jv-main"):
                place("jv-top")
                bar = _chat(services)
                place("jv-review")
                place("jv-compare")
                admin = AdminTab(services, edge)
        language = gr.Textbox(FALLBACK, visible="hidden", elem_id="jv-language")
        calls, live = _wires(texts)
        aside = [_side_wire(name) for name in SIDE_WIRES]
        comparing = Comparing(services)
        ask_wire(comparing, edge)
        _answers(services, edge, live, bar)
        handlers = {
            **Calls(services, texts).table(),
            **ArenaCalls(services).table(),
            **Reviewing(services, texts).table(),
            **Golden(services).table(),
            **Training(services, texts).table(),
            **Versioning(services, texts).table(),
            **DashboardPage(services).table(),
            **Evaluating(services, texts).table(),
            **comparing.table(),
            **formulas_table(),
            **admin.table(),
        }
        for wire in (calls, *aside):
            _questions(edge, wire, handlers)
        Relabel(services, edge, bar, [*bar.words(), *admin.words()]).attach(calls, language)
        Presets(services, edge, bar).attach(calls, language)
        attach_defaults(services, edge, bar, admin.attach(calls, language))
        attach_prompt(bar, calls)
        attach_memory(bar)
        show_no_progress(page)
    page.queue(max_size=QUEUE_SIZE, api_open=False)
    rest(page)
    return page


class Page(gr.Blocks):  # type: ignore[misc]
    """Gradio's blocks, which say in plain words what is wrong with a call made by hand."""

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        if block_fn.fn is None:
            raise gr.Error("This function runs in the browser only.", print_exception=False)
        wanted = len(block_fn.inputs)
        if len(inputs) < wanted:
            message = f"This function of the page takes {wanted} values, not {len(inputs)}."
            raise gr.Error(message, print_exception=False)


def show_no_progress(page: gr.Blocks) -> None:
    """Let Gradio's signs of progress, all hidden anyway, hang on nothing that is drawn.

    For each frame of an answer it would tell all parts that ever took part in any event about it,
    copying whatever they hold: an eighth of a core.
    """
    nothing = gr.State()
    for function in page.fns.values():
        function.show_progress_on = [nothing]


def rest(page: gr.Blocks) -> None:
    """Let Gradio's queue sleep longer between two looks.

    By default it looks a thousand times a second for clicks and a hundred times for progress, of
    which we send none: 7 % of a core at rest, and each look takes a core away from the model.
    """
    page._queue.sleep_when_free = QUEUE_LOOK_S
    page._queue.progress_update_sleep_when_free = 1.0


def mount_page(app: Any, services: Services, user_of: UserOf) -> None:
    """Let the page answer at `/` of a FastAPI application."""
    page = build_page(services, user_of)
    options = mount_options(services.settings)
    options["app_kwargs"]["middleware"] = [Middleware(RefuseUnknownSessions, page=page)]
    gr.mount_gradio_app(app, page, path="/", **options)
    app.add_middleware(RestingFrames)


def mount_options(settings: Settings) -> dict[str, Any]:
    """What Gradio is told when the page is mounted."""
    private = (settings.data_dir, settings.models_dir, settings.exports_dir)
    return {
        "theme": theme(),
        "head": _head(),
        "footer_links": [],
        "run_history": False,
        "show_error": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "enable_monitoring": False,
        "allowed_paths": [],
        "blocked_paths": [str(folder.absolute()) for folder in private],
        # Gradio looks up what a request names without asking whether it is there.
        "app_kwargs": {"exception_handlers": dict.fromkeys(UNKNOWN, _nothing_here)},
        "max_file_size": "1mb",
    }


async def _nothing_here(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse({"detail": "The page has nothing by that name; load it again."}, 404)


def _head() -> str:
    # Gradio rewrites the selectors of its `css` argument; a style sheet of the head stays as it is.
    styles = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in STYLES)
    return (
        f"<style>{styles}</style>"
        f'<link rel="icon" type="image/svg+xml" href="{_FAVICON}">'
        '<meta name="color-scheme" content="light dark">'
    )


def _chat(services: Services) -> ControlBar:
    """The conversation and, pinned below it, the composer with its controls."""
    with gr.Column(elem_id="jv-chat"):
        place("jv-thread")
        with gr.Column(elem_id="jv-composer"):
            place("jv-input")
            with gr.Row(elem_id="jv-tools"):
                version, temperature = toolbar_controls(services)
                place("jv-buttons")
            with gr.Column(elem_id="jv-advanced"):
                return advanced_panel(services, version, temperature)


def _wires(texts: Texts) -> tuple[gr.HTML, gr.HTML]:
    """Two invisible components between the script and the callbacks.

    Their values are plain data, drawn by the script as text nodes only: `calls` takes small
    questions and answers, `live` the frames of growing answers.
    """
    script = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    live = gr.HTML(
        html_template="",
        # `send` is the event that starts an answer.
        js_on_load="(window.jvWires ??= {}).live = { props, watch, trigger, send: 'send' };",
        elem_id="jv-live",
    )
    calls = gr.HTML(
        html_template="",
        js_on_load=(
            f"const TEXTS = {texts.for_browser()};\n"
            "(window.jvWires ??= {}).calls = { props, watch, trigger,"
            " names: ['call', 'relabel', 'admin_open'] };\n"
            f"{script}"
        ),
        elem_id="jv-calls",
    )
    return calls, live


def _side_wire(name: str) -> gr.HTML:
    """One more way for questions, beside `calls`: its replies can't overwrite the others'."""
    script = f"(window.jvWires ??= {{}}).{name} = {{ props, watch, trigger, names: ['call'] }};"
    return gr.HTML(
        html_template="",
        js_on_load=script,
        elem_id=f"jv-wire-{name}",
    )


def _answers(services: Services, edge: Edge, live: gr.HTML, bar: ControlBar) -> None:
    answering = Answering(services)

    def send(
        version: object,
        temperature: object,
        top_p: object,
        max_tokens: object,
        penalty: object,
        seed: object,
        system_prompt: object,
        event: gr.EventData,
        request: gr.Request,
    ) -> Iterator[Json]:
        payload = Payload(event._data)
        controls = Controls(version, temperature, top_p, max_tokens, penalty, seed, system_prompt)
        # A generator function: that is how Gradio knows that frames will come.
        yield from edge.stream(
            payload, lambda: answering.frames(edge.user(request), payload, controls)
        )

    live.send(
        send,
        inputs=bar.inputs(),
        outputs=live,
        show_progress="hidden",
        trigger_mode="multiple",
        # The services queue fairly and refuse with a sentence; Gradio must not queue before them.
        concurrency_limit=services.admin.model.parallel + services.settings.queue + 1,
        concurrency_id="answer",
        # Raw values reach `Controls`, which refuses them in the page's language.
        preprocess=False,
        api_visibility="private",
    )


def _questions(edge: Edge, wire: gr.HTML, handlers: dict[str, Handler]) -> None:
    wire.call(
        edge.call(handlers),
        outputs=wire,
        show_progress="hidden",
        trigger_mode="multiple",
        queue=False,
        api_visibility="private",
    )
