"""`javis versions`, `promote`, `rollback`, `import-adapter` and `delete-version`.

They work on the disk alone: a running server sees what they did within a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from javis.core.errors import EngineError, UserInputError
from javis.core.settings import Settings
from javis.core.types import BASE, Version
from javis.versions.registry import Registry

if TYPE_CHECKING:
    from javis.engine.catalog import Choice
    from javis.service.thumbs import ThumbCounter

BY = "cli"
"""Who did it, in the history."""
Say = Callable[[str], None]


def listing(settings: Settings) -> Iterator[str]:
    """A line for each version: data, gate, thumbs with their interval, and what is wrong."""
    from javis.service.thumbs import ThumbCounter
    from javis.store import open_store

    registry = Registry(settings.models_dir)
    current = registry.resolve_current()
    store = open_store(settings.journal) if settings.journal.is_file() else None
    try:
        thumbs = ThumbCounter(store) if store else None
        base = Version(BASE, None, _model(settings) if store else "", None)
        for version in [base, *registry.versions()]:
            mark = "*" if version.name == current.name else " "
            parts = [f"{mark} {version.name:<6}", *_about(version, registry)]
            if thumbs:
                parts.append(_liked(version, registry, thumbs))
            yield "  ".join(filter(None, parts)).rstrip()
    finally:
        if store:
            store.close()
    if current.reason:
        yield current.reason
    if settings.adapter_path:
        yield f"ADAPTER_PATH is set: {settings.adapter_path} answers, whatever is marked here."


def promote(settings: Settings, name: str) -> str:
    """Let a version answer from the next message on."""
    _require_free(settings)
    registry = Registry(settings.models_dir)
    if name != BASE:
        _require_fit(settings, registry.get(name))
    registry.activate(name, by=BY)
    return _now(name)


def rollback(settings: Settings) -> str:
    """Let the version that answered before this one answer again."""
    _require_free(settings)
    return _now(Registry(settings.models_dir).roll_back(by=BY))


def delete(settings: Settings, name: str) -> str:
    Registry(settings.models_dir).delete(name, by=BY, pinned=settings.adapter_path)
    return f"{name} is deleted."


def bring_in(settings: Settings, path: Path, say: Say) -> str:
    """Verify an adapter made elsewhere, try it out and keep it as a version."""
    from javis.engine import catalog, hardware
    from javis.service.publishing import publisher_for
    from javis.versions.importing import bring_in as take_in

    if not path.exists():
        raise UserInputError("no_file", "There is no file {path}.", path=path)
    choice = catalog.resolve(settings, hardware.detect())
    base = catalog.obtain(choice, settings, say)
    say("Verifying it and trying it out (about 15 s for the embedded model) …")
    publisher = publisher_for(settings.models_dir, choice, base)
    version = take_in(path, publisher, choice.model.id, by=BY)
    return f"It is {version.name} now. `javis promote {version.name}` lets it answer."


def _about(version: Version, registry: Registry) -> list[str]:
    if version.damaged:
        return [f"damaged: {version.damaged}"]
    if version.path is None:
        return []
    data = registry.metadata(version.name)["training_data"]
    verdict = registry.report(version.name).get("verdict")
    gate = ""
    if isinstance(verdict, dict) and "passed" in verdict:
        gate = "gate passed" if verdict["passed"] else "published against the gate"
    turns = f"{data.get('total_turns', 0)} turns"
    return [version.base_model, version.method, turns, gate, version.created_at[:10], version.notes]


def _liked(version: Version, registry: Registry, thumbs: ThumbCounter) -> str:
    from javis.versions.history import promoted_at

    since = "" if version.name == BASE else promoted_at(registry.history(), version.name)
    found = thumbs.of(version.name, version.sha256, since, version.base_model)
    if not found.total:
        return ""
    rate = found.rate
    return (
        f"{found.good} of {found.total} liked ({rate.value:.0%}, {rate.low:.0%} to {rate.high:.0%})"
    )


def _model(settings: Settings) -> str:
    """The base model that a server with these settings serves; empty when that cannot be said."""
    from javis.engine import catalog, hardware

    found = hardware.detect()
    # As if nothing ran: the server itself may be what takes the memory.
    empty = replace(found, ram_available=found.ram_total, vram_free=found.vram_total)
    try:
        # A list asks no network; what a server chose by itself is on the disk by now.
        return catalog.resolve(settings, empty, lambda: settings.model != "auto").model.id
    except EngineError:
        return ""


def _require_free(settings: Settings) -> None:
    if settings.adapter_path:
        raise UserInputError(
            "adapter_path_wins",
            "ADAPTER_PATH is set, so {name} always answers. Start without it to switch versions.",
            name=settings.adapter_path.name,
        )


def _require_fit(settings: Settings, version: Version) -> None:
    """Refuse what the server that these settings start would not serve."""
    from javis.engine import catalog, hardware

    if version.damaged or version.path is None:
        return  # Whoever switches says so.
    try:
        choice = catalog.resolve(settings, hardware.detect())
    except EngineError:
        return  # Not this command's business: `javis doctor` says more.
    if why := why_unfit(version, choice):
        raise UserInputError(
            "version_refused",
            "Version {name} cannot be used: {why}",
            name=version.name,
            why=why,
        )


def why_unfit(version: Version, choice: Choice) -> str | None:
    """Why a server with this model and engine would not serve a version; None when it would."""
    from javis.engine.adapter import check_adapter
    from javis.engine.models import made_for
    from javis.versions import gguf

    if version.damaged or version.path is None:
        return version.damaged
    if not made_for(version.base_model, choice.model.id):
        return f"It was made for {version.base_model}, not for {choice.model.id}."
    folder = Path(version.path)
    inner = folder / "adapter"
    adapter = check_adapter(inner if inner.is_dir() else folder)
    return gguf.refusal(adapter) if choice.engine == "llamacpp" else None


def _now(name: str) -> str:
    return f"{'The base model' if name == BASE else name} answers from the next message on."
