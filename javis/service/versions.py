"""Which adapter versions there are, which one answers, and changing that."""

from __future__ import annotations

import logging
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path

from javis.core.errors import EngineError, NotFound, UserInputError, VersionError
from javis.core.protocols import Engine
from javis.core.types import BASE, Version
from javis.engine.models import made_for
from javis.service.thumbs import Drop, ThumbCounter, Thumbs, find_drop
from javis.service.version_details import VersionDetails, describe
from javis.store import Store
from javis.versions import importing
from javis.versions.history import Event, promoted_at
from javis.versions.publish import Publisher
from javis.versions.registry import Registry

LOG = logging.getLogger("javis.versions")

WATCH_S = 1.0
"""How often the model folder is looked at; a look is a few stat calls."""


class VersionService:
    """Keeps the engine's versions in step with the model folder, and switches between them.

    `store` counts the thumbs; `publisher` takes in adapters made elsewhere.
    """

    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        pinned: Version | None = None,
        *,
        store: Store | None = None,
        publisher: Publisher | None = None,
    ) -> None:
        self._engine = engine
        self._registry = registry
        self._pinned = pinned
        self._publisher = publisher or Publisher(registry.models_dir)
        self._thumbs = ThumbCounter(store) if store else None
        self._refreshing = threading.Lock()
        self._known: dict[str, Version] = {}
        self._trial: Version | None = None
        """Served, and in no list."""
        self.refused: dict[str, str] = {}
        """Why the engine does not serve a version, by name."""
        self.refresh()

    @property
    def pinned(self) -> bool:
        """Whether ADAPTER_PATH decides what answers."""
        return self._pinned is not None

    @property
    def _pinned_path(self) -> Path | None:
        return Path(self._pinned.path) if self._pinned and self._pinned.path else None

    def refresh(self) -> None:
        """Look into the model folder again; running answers are not touched."""
        with self._refreshing:
            found = self._registry.versions()
            if self._pinned:
                found = [*found, self._pinned]
            model = self._engine.info.model
            refused = {v.name: v.damaged for v in found if v.damaged}
            for version in found:
                if version.name not in refused and not made_for(version.base_model, model):
                    why = f"It was made for {version.base_model}, not for {model}."
                    refused[version.name] = why
            fitting = [v for v in found if v.name not in refused]
            refused |= self._serve([*fitting, self._trial] if self._trial else fitting)
            self._known = {v.name: v for v in found}
            self.refused = refused

    def all(self) -> list[Version]:
        """The base and every version on disk, the damaged ones too."""
        return [self._base(), *self._known.values()]

    def usable(self) -> list[Version]:
        """The versions that can answer now, the base first."""
        serving = self._engine.versions()
        return [v for v in self.all() if v.name in serving and v.name not in self.refused]

    def current(self) -> str:
        """The version that answers when none is named."""
        name = self._pinned.name if self._pinned else self._registry.current()
        return name if name in [v.name for v in self.usable()] else BASE

    def notice(self) -> str | None:
        """Why another version answers than was chosen, in English; None when all is well."""
        if self._pinned:
            why = self.refused.get(self._pinned.name)
            if why is None:
                return None
            return f"{self._pinned.name} cannot answer: {why} The base model answers."
        chosen = self._registry.resolve_current()
        if chosen.name != BASE and self.current() == BASE:
            why = self.refused.get(chosen.name, "It is being loaded.")
            return f"{chosen.name} cannot answer: {why} The base model answers."
        return chosen.reason

    def serving(self, name: str | None) -> Version:
        """The version to answer with. Raises UserInputError when it cannot."""
        name = name or self.current()
        for version in self.usable():
            if version.name == name:
                return version
        if name in self.refused:
            raise UserInputError(
                "version_refused",
                "Version {name} cannot be used: {why}",
                name=name,
                why=self.refused[name],
            )
        raise UserInputError("no_version", "There is no version {name}.", name=name)

    # -- switching -------------------------------------------------------------------------

    def promote(self, name: str, by: str, note: str = "") -> Version:
        """Let `name` (or the base) answer from the next message on.

        Raises UserInputError for one that cannot answer, VersionError when it cannot be written.
        """
        self._require_free()
        self._require_known(name)
        version = self.serving(name)
        self._registry.activate(name, by=by, note=note)
        return version

    def rollback(self, by: str, note: str = "") -> Version:
        """Let the version that answered before this one answer again, or the base."""
        self._require_free()
        name = self._registry.roll_back(by=by, note=note)
        self.refresh()
        return self._known.get(name) or self._base()

    def before(self) -> str | None:
        """Where a rollback would lead; None when there is nothing before."""
        return None if self._pinned else self._registry.before()

    def delete(self, name: str, by: str) -> None:
        """Delete a version that nothing needs. UserInputError for one that must stay."""
        if name != BASE:
            self._require_known(name)
        self._registry.delete(name, by=by, pinned=self._pinned_path)
        self.refresh()

    def bring_in(self, source: Path | bytes, by: str, note: str = "") -> Version:
        """Take in an adapter made elsewhere: a folder, a zip file or the bytes of one.

        It is verified like our own, and answers only once it is promoted. Raises VersionError
        for anything that is not whole, safe and for this base model.
        """
        version = importing.bring_in(
            source, self._publisher, self._engine.info.model, by=by, note=note
        )
        self.refresh()
        return version

    # -- what is known ---------------------------------------------------------------------

    def details(self) -> list[VersionDetails]:
        """The base and every version on disk, with all the page shows of them."""
        current = self.current()
        usable = {v.name for v in self.usable()}
        events = self._registry.history()
        return [
            describe(
                version,
                self._registry,
                events,
                self._pinned_path,
                current=version.name == current,
                usable=version.name in usable,
                refused=self.refused.get(version.name),
                thumbs=self._thumbs_of(version, events),
            )
            for version in self.all()
        ]

    def history(self) -> list[Event]:
        """Who switched, published and deleted what, and when; oldest first."""
        return self._registry.history()

    def watch(self) -> Drop | None:
        """A clear drop of the thumbs against the version before, which suggests a rollback."""
        before = self.before()
        current = self.current()
        if before is None or before == current:
            return None
        events = self._registry.history()
        now, then = self._known.get(current, self._base()), self._known.get(before, self._base())
        return find_drop(
            current, self._thumbs_of(now, events), before, self._thumbs_of(then, events)
        )

    @contextmanager
    def trial(self, version: Version) -> Iterator[None]:
        """Let the engine serve an adapter that is no version yet; it shows in no list.

        One at a time. Raises VersionError when the engine cannot serve it.
        """
        self._trial = version
        try:
            self.refresh()
            if why := self.refused.pop(version.name, None):
                raise VersionError("trial_refused", "It cannot be tried out: {why}", why=why)
            yield
        finally:
            self._trial = None
            self.refresh()

    # -- inside ----------------------------------------------------------------------------

    def _serve(self, versions: list[Version]) -> dict[str, str]:
        """Give these to the engine; those that it cannot serve, with the reason."""
        try:
            return self._engine.use_versions(versions)
        except EngineError as error:
            # A file that only the engine finds fault with must not take the others along.
            LOG.warning("the versions could not be loaded: %s", error)
            serving = self._engine.versions()
            return {v.name: str(error) for v in versions if v.name not in serving}

    def _require_free(self) -> None:
        if self._pinned:
            raise UserInputError(
                "adapter_path_wins",
                "ADAPTER_PATH is set, so {name} always answers. Start without it to switch "
                "versions.",
                name=self._pinned.name,
            )

    def _require_known(self, name: str) -> None:
        """NotFound for a name that is nothing on disk; one just published is looked for."""
        if name == BASE or name in self._known:
            return
        self.refresh()
        if name not in self._known:
            raise NotFound("no_version", "There is no version {name}.", name=name[:40])

    def _thumbs_of(self, version: Version, events: list[Event]) -> Thumbs:
        if self._thumbs is None:
            return Thumbs()
        since = "" if version.name == BASE else promoted_at(events, version.name)
        return self._thumbs.of(version.name, version.sha256, since, version.base_model)

    def _base(self) -> Version:
        return Version(BASE, None, self._engine.info.model, None)


class VersionWatcher:
    """Lets a running server see what the trainer or the command line did to the versions."""

    def __init__(self, service: VersionService, every_s: float = WATCH_S) -> None:
        self._service = service
        self._registry = service._registry
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="versions", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread:
            self._thread.join(5)

    def _run(self) -> None:
        # Nothing seen yet: what changed since the service read the folder is not missed.
        seen: Hashable = None
        told = ""
        while not self._ended.wait(self._every_s):
            try:
                now = self._registry.fingerprint()
                if now != seen:
                    self._service.refresh()
                    seen = now
                told = ""
            except Exception as error:
                # The edge: whatever one folder holds, the next change must still be seen.
                if repr(error) != told:
                    LOG.warning("the versions could not be read: %s", error, exc_info=True)
                told = repr(error)
