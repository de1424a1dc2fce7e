"""The composition root: the only place that picks implementations and joins the parts."""

from __future__ import annotations

import logging
import os
import platform
import signal
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol

from javis.core.errors import StoreError, UserInputError
from javis.core.protocols import Engine
from javis.core.settings import Settings
from javis.core.types import Version
from javis.engine import catalog, hardware
from javis.engine.files import sweep, try_lock
from javis.engine.models import made_for
from javis.engine.pausing import PausingEngine
from javis.engine.waiting import let_threads_rest
from javis.service.learning import train_base
from javis.service.own_results import forget_gone
from javis.service.publishing import publisher_for
from javis.service.review_warming import Warming
from javis.service.run_purge import forget_purged
from javis.service.services import Services, join
from javis.service.tracking import tracking_watchers
from javis.service.versions import VersionWatcher
from javis.store import Store, maintenance, open_store
from javis.versions.gguf import prune
from javis.versions.publish import clean_up
from javis.versions.registry import Registry

if TYPE_CHECKING:
    import uvicorn

    from javis.api.auth import Auth

Say = Callable[[str], None]

ADAPTER_CACHE = Path("cache", "adapters")
LOCAL_USER = "local"
"""Who owns what was collected before there were users."""
CLOSE_S = 3.0
"""How long the end waits for running answers to be stored."""
MAX_CONNECTIONS = 500
"""More get a plain 503, before the files that a process may open (often 1024) run out."""
PURGE_AFTER_S = 7 * 24 * 3600
"""How long a deleted conversation can be brought back."""


class Watcher(Protocol):
    """Something that goes on by itself while the program runs."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Application:
    """A running program, without its web server."""

    services: Services
    store: Store
    engine: Engine
    watchers: Sequence[Watcher] = ()

    def start_watching(self) -> None:
        """Look after training, the schedule and new versions, in threads of their own."""
        for watcher in self.watchers:
            watcher.start()

    def stop_answers(self) -> None:
        """Let every running answer end; each stores what it has."""
        self.services.chat.stop_all()
        self.services.completions.stop_all()

    def close(self) -> None:
        """End the answers, then let go of the model and the journal. A training run goes on."""
        self.stop_answers()
        for watcher in self.watchers:
            watcher.stop()
        self.services.training.let_go()
        self.services.evaluation.stop()
        deadline = time.monotonic() + CLOSE_S
        while not self.services.chat.idle and time.monotonic() < deadline:
            time.sleep(0.02)
        self.engine.close()
        self.store.close()


def build(settings: Settings, say: Say) -> Application:
    """Open the store, load the model and join the services."""
    store = open_data(settings, say)
    found = hardware.detect()
    choice = catalog.resolve(settings, found)
    if left := [*clean_up(settings.models_dir), *sweep(settings.models_dir / "base")]:
        say(f"Removed what a crash had left half made: {', '.join(left)}.")
    registry = Registry(settings.models_dir)
    pinned = registry.from_path(settings.adapter_path) if settings.adapter_path else None
    served = [*registry.versions(), *([pinned] if pinned else [])]
    prune(settings.data_dir / ADAPTER_CACHE, [version.sha256 for version in served])
    whole = [v for v in served if not v.damaged and made_for(v.base_model, choice.model.id)]
    path = catalog.obtain(choice, settings, say)
    engine = load_engine(settings, choice, path, found.cores, say, whole)
    services = join(
        settings,
        store,
        engine,
        registry,
        pinned,
        choice.why,
        base=train_base(choice, path),
        publisher=publisher_for(settings.models_dir, choice, path),
        chat_room=engine if isinstance(engine, PausingEngine) else None,
    )
    watchers: list[Watcher] = [
        VersionWatcher(services.versions),
        Warming(services.review),
        *services.learning.watchers(),
        *tracking_watchers(settings, services.training, services.evaluation, say),
    ]
    return Application(services, store, engine, watchers)


def open_data(settings: Settings, say: Say) -> Store:
    """The journal, with what a crash left behind put in order and an old file taken in."""
    make_folders(settings)
    store = open_store(settings.journal)
    old = settings.data_dir / "feedback.json"
    if old.exists():
        say(f"Taking in {old} …")
        try:
            say(str(maintenance.import_tinydb(store.db, old, owner=LOCAL_USER)))
        except StoreError as error:
            # An old file that cannot be read must not keep the chat from starting.
            say(f"{error} It is left as it is.")
    if interrupted := store.conversations.mark_interrupted():
        say(f"Answers cut off when JAVIS last ended: {interrupted}. Their texts are kept.")
    clear_away(settings, store, say)
    return store


def clear_away(settings: Settings, store: Store, say: Say) -> None:
    """Remove for good what was deleted a while ago, wherever it is. What cannot be removed now, on
    a full disk for instance, keeps nobody from chatting: the next start tries again."""
    steps: tuple[Callable[[], object], ...] = (
        lambda: store.conversations.purge(PURGE_AFTER_S),
        lambda: forget_gone(settings.data_dir / "eval", store),
        lambda: forget_purged(settings.data_dir / "runs", store),
    )
    for clear in steps:
        try:
            clear()
        except (StoreError, OSError) as error:
            say(f"Some of what was deleted is not cleared away yet; the next start tries: {error}")


def make_folders(settings: Settings) -> None:
    """The data folder, or a plain sentence why there can be none."""
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(
            "no_data_dir",
            "The data folder {path} cannot be made: {why}. Choose another with --data-dir.",
            path=settings.data_dir,
            why=error.strerror or error,
        ) from None


def load_engine(
    settings: Settings,
    choice: catalog.Choice,
    path: Path,
    cores: int,
    say: Say,
    versions: Sequence[Version] = (),
) -> Engine:
    """The chosen engine with its model in memory; `versions` are going to be served.

    `path` is the file or folder that `choice` led to (`catalog.obtain`).
    """
    start = time.perf_counter()
    say(f"Loading {choice.model.title} …")
    engine = _engine(settings, choice, path, cores, versions)
    say(f"{choice.model.title} is ready ({time.perf_counter() - start:.1f} s).")
    return engine


def _engine(
    settings: Settings,
    choice: catalog.Choice,
    path: Path,
    cores: int,
    versions: Sequence[Version],
) -> Engine:
    if choice.engine == "transformers":
        from javis.engine.transformers import TransformersEngine  # heavy: torch

        return PausingEngine(lambda: TransformersEngine.from_choice(choice, path, settings))
    from javis.engine.llamacpp import LlamaCppEngine  # heavy: the native library
    from javis.versions.gguf import ensure_gguf

    cache = settings.data_dir / ADAPTER_CACHE
    return LlamaCppEngine(
        path,
        model=choice.model.id,
        title=choice.model.title,
        adapter_file=lambda version: ensure_gguf(version, path, cache),
        languages=choice.model.languages,
        licence=choice.model.licence,
        sampling=choice.model.sampling,
        context=settings.context,
        parallel=choice.parallel,
        threads=settings.threads or cores,
        versions=versions,
    )


def diagnose(settings: Settings) -> Iterator[str]:
    """What `javis doctor` prints. Raises EngineError when nothing can be run."""
    found = hardware.detect()
    gib = 2**30
    yield f"Python      {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield f"Processor   {found.cores} cores"
    yield f"Memory      {found.ram_available / gib:.1f} of {found.ram_total / gib:.1f} GiB free"
    if found.gpu:
        use = (
            "usable"
            if found.cuda_build
            else "not usable: the installed torch is built without CUDA"
        )
        yield f"Graphics    {found.gpu}, {found.vram_free / gib:.1f} GiB free ({use})"
    else:
        yield "Graphics    Apple Silicon" if found.apple_silicon else "Graphics    no CUDA card"
    choice = catalog.resolve(settings, found)
    yield f"Model       {choice.model.title} ({choice.model.licence or 'licence unknown'})"
    yield f"Engine      {choice.engine}, {choice.quantization}, on {choice.device}"
    yield from (f"Why         {reason}" for reason in choice.why)


def make_asgi(application: Application, auth: Auth) -> Any:
    """The routes, the guards in front of everything, and the page."""
    from javis.api.app import build_api
    from javis.api.guards import install_guards
    from javis.ui.app import mount_page  # heavy: Gradio

    settings = application.services.settings
    api = build_api(application.services, auth)
    install_guards(api, settings, auth)
    mount_page(api, application.services, auth.user_of)
    return api


def serve(settings: Settings, *, window: bool = False, say: Say = print) -> None:
    """Run until stopped. The port is taken first, so that a long load is not for nothing."""
    from javis.api.auth import Auth, refuse_to_bind

    refuse_to_bind(settings)
    make_folders(settings)
    # First, so that a mistyped JAVIS_USERS is told before a model is loaded.
    auth = Auth.from_settings(settings, settings.data_dir / "session.key")
    with only_server(settings):
        listener = take_port(settings)
        quiet_libraries(settings)
        application = build(settings, say)
        try:
            application.start_watching()
            _run(application, auth, listener, window=window, say=say)
        finally:
            application.close()
            listener.close()


@contextmanager
def only_server(settings: Settings) -> Iterator[None]:
    """Keep the data folder from a second server, which would take this one's running answers
    for cut off. Commands may work beside a server: the journal has a lock of its own."""
    try:
        fd = os.open(settings.data_dir / ".server", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StoreError(
            "data_dir_not_writable",
            "Nothing can be written to the data folder {path}: {why}. Choose another with "
            "--data-dir.",
            path=settings.data_dir,
            why=error.strerror or error,
        ) from None
    try:
        if not try_lock(fd):
            raise UserInputError(
                "data_dir_served",
                "JAVIS is running already with the data folder {path}. Use that one, end it "
                "first, or choose another folder with --data-dir.",
                path=settings.data_dir,
            )
        yield
    finally:
        os.close(fd)


def _run(
    application: Application, auth: Auth, listener: socket.socket, *, window: bool, say: Say
) -> None:
    import uvicorn

    settings = application.services.settings
    asgi = make_asgi(application, auth)

    class Server(uvicorn.Server):
        """Ends the answers first, so that the connections they hold close by themselves."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            application.stop_answers()
            super().handle_exit(sig, frame)

    server = Server(web_config(asgi))
    host = settings.host if ":" not in settings.host else f"[{settings.host}]"
    address = f"http://{host}:{listener.getsockname()[1]}"

    def announce() -> None:
        while not server.started and not server.should_exit:
            time.sleep(0.05)
        if server.started:
            say(f"JAVIS is at {address} (Ctrl+C ends it)")
            if window:
                from javis.window import open_window

                open_window(address, settings.data_dir / "window", say)
            elif settings.browser:
                webbrowser.open(address)

    threading.Thread(target=announce, name="announce", daemon=True).start()
    # Ctrl+C is an ordinary end.
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    # A second Ctrl+C must not tear up what is being stored now; it takes a few seconds at most.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def web_config(asgi: Any) -> uvicorn.Config:
    """How the web server treats connections."""
    import uvicorn

    return uvicorn.Config(
        asgi,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=5,
        limit_concurrency=MAX_CONNECTIONS,
        # Another parser, if some package brings one, has no limit for headers.
        http="h11",
        h11_max_incomplete_event_size=64 * 1024,
    )


def take_port(settings: Settings) -> socket.socket:
    """Bind the address, or say in plain words why that is not possible."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    if os.name == "posix":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UserInputError(
            "port_taken",
            "{host}:{port} cannot be used ({error}). JAVIS may be running already; "
            "otherwise choose another port with --port.",
            host=settings.host,
            port=settings.port,
            error=error.strerror or error,
        ) from None
    return listener


def quiet_libraries(settings: Settings) -> None:
    """No telemetry, no network where none is wanted, no spinning threads, no files by accident."""
    let_threads_rest()
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    # Gradio would recompute its own statistics with pandas after every event.
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**9)
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["DO_NOT_TRACK"] = "1"
    uploads = settings.data_dir / "uploads"
    uploads.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    # Gradio may serve files of the working directory that a callback returns: there are none.
    empty = settings.data_dir / "empty"
    empty.mkdir(parents=True, exist_ok=True)
    os.chdir(empty)
    logging.getLogger("httpx").setLevel(logging.WARNING)
