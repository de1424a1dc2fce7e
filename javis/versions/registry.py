"""The adapter versions on disk: `models/v1.0/…` and which of them is served, `models/current`."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from javis.core.errors import UserInputError, VersionError
from javis.core.types import BASE, Version
from javis.engine.adapter import read_json
from javis.engine.files import atomic_file
from javis.versions import history
from javis.versions.disk import Disk, locked, remove_tree
from javis.versions.history import Event
from javis.versions.reading import Reader

LOG = logging.getLogger("javis.versions")

NAME = re.compile(r"v(\d{1,6})\.(\d{1,6})")
"""A version's name: major and minor number."""
DELETED = ".deleted-"
_REPORT_BYTES = 32 << 20


class Current(NamedTuple):
    """The version that new answers use."""

    name: str
    reason: str | None
    """Why it is another one than `models/current` names; None when all is well."""


class Registry:
    """Reads, switches and deletes the versions in one `models` folder. Safe from any thread.

    Everything is read from disk at each call, so that a version published by the trainer's
    process is seen at once.
    """

    def __init__(self, models_dir: Path, disk: Disk | None = None) -> None:
        self._dir = models_dir
        self._disk = disk or Disk()
        self._reader = Reader()

    @property
    def models_dir(self) -> Path:
        return self._dir

    def versions(self) -> list[Version]:
        """All versions, oldest number first; a broken one has `damaged` set."""
        return [self._reader.version(path) for path in self._folders()]

    def get(self, name: str) -> Version:
        """One version by name; VersionError when there is none. It may be damaged."""
        return self._reader.version(self._folder(name))

    def from_path(self, path: Path) -> Version:
        """The adapter at ADAPTER_PATH: a version's folder, or a bare adapter folder.

        A bare one is named after its folder and has no base model to compare. Raises
        VersionError when it is missing or damaged, as nothing else was asked for.
        """
        folder = path.resolve()
        is_version = (folder / "adapter").is_dir()
        version = self._reader.version(folder) if is_version else self._reader.adapter(folder)
        if version.damaged:
            raise VersionError(
                "adapter_path",
                "The adapter at {path} cannot be used. {why}",
                path=folder,
                why=version.damaged,
            )
        if folder.parent != self._dir.resolve() and (
            version.name == BASE or NAME.fullmatch(version.name)
        ):
            # It must pass neither for the base nor for one of these versions.
            return replace(version, name=f"{version.name}-adapter")
        return version

    def metadata(self, name: str) -> dict[str, Any]:
        """A version's metadata.json; empty when it cannot be read."""
        return self._json(name, "metadata.json")

    def report(self, name: str) -> dict[str, Any]:
        """A version's report.json (gate, curve, samples, proof); empty when there is none."""
        return self._json(name, "report.json")

    def fingerprint(self) -> Hashable:
        """Something that differs after every change of the versions or of `current`; cheap."""
        marks = []
        for path in [*self._folders(), self._dir / "current"]:
            try:
                stat = path.stat()
            except OSError:
                continue
            marks.append((path.name, stat.st_mtime_ns, stat.st_ino, stat.st_size))
        return tuple(marks)

    # -- which one is served ---------------------------------------------------------------

    def current(self) -> str:
        """The name of the version that new answers use, `base` included."""
        return self.resolve_current().name

    def resolve_current(self) -> Current:
        """Like `current`, with the reason when `models/current` cannot be followed.

        Then it is the newest good version that was served before, or the newest good one at all,
        or the base.
        """
        pointer = self._dir / "current"
        try:
            name = pointer.read_bytes()[:200].decode("utf-8").strip()
        except FileNotFoundError:
            return Current(BASE, None)
        except (OSError, UnicodeDecodeError):
            return self._instead(BASE, "models/current cannot be read.")
        if name == BASE:
            return Current(BASE, None)
        try:
            version = self.get(name)
        except VersionError:
            return self._instead(name, f"models/current names {name[:40]!r}, which is not there.")
        if version.damaged:
            return self._instead(name, f"{name} is damaged: {version.damaged}")
        return Current(name, None)

    def activate(self, name: str, *, by: str = "", note: str = "") -> None:
        """Make `name` (or `base`) the version of new answers, atomically.

        Raises VersionError when it is missing or damaged; the pointer is then as before.
        """
        with locked(self._dir):
            self._require_good(name)
            self._point(name, Event(history.now_iso(), by, self.current(), name, "promoted", note))

    def roll_back(self, *, by: str = "", note: str = "") -> str:
        """Serve the version that was served before this one, or the base; returns its name.

        Damaged and deleted ones are stepped over. Raises UserInputError on the base.
        """
        with locked(self._dir):
            now = self.current()
            name = self._before(now)
            if name is None:
                raise UserInputError("nothing_before", "There is no earlier version to go back to.")
            self._point(name, Event(history.now_iso(), by, now, name, "rolled_back", note))
            return name

    def before(self) -> str | None:
        """Where `roll_back` would lead; None when there is nothing before."""
        return self._before(self.current())

    def history(self) -> list[Event]:
        """Who switched, published and deleted what, and when; oldest first."""
        return history.read(self._dir)

    # -- deleting --------------------------------------------------------------------------

    def keeper(self, name: str, pinned: Path | None = None) -> UserInputError | None:
        """Why a version must stay; None when it can be deleted.

        `pinned` is the adapter of ADAPTER_PATH, which answers whatever `models/current` names.
        """
        current = self.current()
        if name == BASE:
            return UserInputError("keep_base", "The base model cannot be deleted.")
        if pinned and pinned.resolve().is_relative_to((self._dir / name).resolve()):
            return UserInputError(
                "keep_pinned", "ADAPTER_PATH names {name}, so {name} stays.", name=name
            )
        if name == current:
            return UserInputError(
                "keep_current", "{name} is in use. Switch to another version first.", name=name
            )
        if name == self.metadata(current).get("parent"):
            return UserInputError(
                "keep_parent",
                "{current}, the version in use, came from {name}, so {name} stays.",
                name=name,
                current=current,
            )
        if name == self._before(current):
            return UserInputError(
                "keep_previous",
                "{name} was in use before {current}: a rollback leads to it, so it stays.",
                name=name,
                current=current,
            )
        return None

    def delete(self, name: str, *, by: str = "", pinned: Path | None = None) -> None:
        """Delete a version for good. UserInputError for one that must stay; its number is not
        used again."""
        with locked(self._dir):
            if name != BASE:
                self._folder(name)
            if kept := self.keeper(name, pinned):
                raise kept
            gone = self._dir / f"{DELETED}{name}-{secrets.token_hex(4)}"
            try:
                # By one rename, so that nobody reads half a version.
                self._disk.rename(self._dir / name, gone)
                self._disk.sync_dir(self._dir)
            except OSError as error:
                raise VersionError(
                    "delete_failed",
                    "{name} could not be deleted: {why}.",
                    name=name,
                    why=error.strerror or error,
                ) from error
            self._note(Event(history.now_iso(), by, name, None, "deleted"))
        remove_tree(gone)

    # -- inside ----------------------------------------------------------------------------

    def _folders(self) -> list[Path]:
        """The versions' folders, oldest number first."""
        found = []
        if self._dir.is_dir():
            for path in self._dir.iterdir():
                number = NAME.fullmatch(path.name)
                if number and path.is_dir():
                    found.append((int(number[1]), int(number[2]), path))
        return [path for _, _, path in sorted(found)]

    def _folder(self, name: str) -> Path:
        path = self._dir / name
        if not NAME.fullmatch(name) or not path.is_dir():
            raise VersionError("no_version", "There is no version {name}.", name=name)
        return path

    def _json(self, name: str, file: str) -> dict[str, Any]:
        if not NAME.fullmatch(name):
            return {}
        try:
            return read_json(self._dir / name / file, _REPORT_BYTES)
        except VersionError:
            return {}

    def _require_good(self, name: str) -> None:
        if name == BASE:
            return
        version = self.get(name)
        if version.damaged:
            raise VersionError(
                "version_unusable",
                "{name} is damaged and cannot be used: {why}",
                name=name,
                why=version.damaged,
            )

    def _point(self, name: str, event: Event) -> None:
        """Write the pointer, then the history: see `history.served` for a crash in between."""
        try:
            with atomic_file(self._dir / "current") as temporary:
                temporary.write_text(name + "\n", "utf-8")
        except OSError as error:
            raise VersionError(
                "activate_failed",
                "The version could not be switched: {why}. The one before still answers.",
                why=error.strerror or str(error),
            ) from error
        self._note(event)

    def _note(self, event: Event) -> None:
        try:
            history.append(self._dir, event, self._disk)
        except OSError as error:
            # What was noted has happened: taking it back for this would be worse.
            LOG.warning("%s is not in the history: %s", event, error.strerror)

    def _before(self, current: str) -> str | None:
        for name in reversed(history.served(self.history(), current)[:-1]):
            if name != current and (name == BASE or self._is_good(name)):
                return name
        return None

    def _instead(self, named: str, reason: str) -> Current:
        served = history.served(self.history(), named)
        good = [name for name in served if name not in (BASE, named) and self._is_good(name)]
        good = good or [v.name for v in self.versions() if not v.damaged]
        name = good[-1] if good else BASE
        return Current(name, f"{reason} {'The base model' if name == BASE else name} answers.")

    def _is_good(self, name: str) -> bool:
        try:
            return not self.get(name).damaged
        except VersionError:
            return False
