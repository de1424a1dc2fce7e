"""The adapter versions on disk: `models/v1.0/…` and which of them is served, `models/current`."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from javis.core.errors import VersionError
from javis.core.types import BASE, Version
from javis.engine.adapter import (
    CONFIG,
    WEIGHTS,
    Adapter,
    broken,
    check_adapter,
    check_finite,
    read_json,
)
from javis.engine.files import atomic_file, identity, sha256_file

NAME = re.compile(r"v(\d{1,6})\.(\d{1,6})")
"""A version's name: major and minor number."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MANIFEST_BYTES = 1 << 20
_MAX_FILES = 10_000


class Current(NamedTuple):
    """The version that new answers use."""

    name: str
    reason: str | None
    """Why it is the base although `models/current` names another; None when all is well."""


class Registry:
    """Reads and switches the versions in one `models` folder. Safe to call from any thread.

    Everything is read from disk at each call, so that a version published by the trainer's
    process is seen at once; only hashes are remembered, by size, mtime and inode.
    """

    def __init__(self, models_dir: Path) -> None:
        self._dir = models_dir
        self._lock = threading.Lock()
        self._hashes: dict[Path, tuple[tuple[int, int, int], str]] = {}
        self._finite: dict[Path, tuple[tuple[int, int, int], str | None]] = {}

    def versions(self) -> list[Version]:
        """All versions, oldest number first; a broken one has `damaged` set."""
        found = []
        if self._dir.is_dir():
            for path in self._dir.iterdir():
                number = NAME.fullmatch(path.name)
                if number and path.is_dir():
                    found.append((int(number[1]), int(number[2]), path))
        return [self._read(path) for _, _, path in sorted(found)]

    def get(self, name: str) -> Version:
        """One version by name; VersionError when there is none. It may be damaged."""
        path = self._dir / name
        if not NAME.fullmatch(name) or not path.is_dir():
            raise VersionError("no_version", "There is no version {name}.", name=name)
        return self._read(path)

    def from_path(self, path: Path) -> Version:
        """The adapter at ADAPTER_PATH: a version's folder, or a bare adapter folder.

        A bare one is named after its folder and has no base model to compare. Raises
        VersionError when it is missing or damaged, as nothing else was asked for.
        """
        folder = path.resolve()
        if (folder / "adapter").is_dir():
            version = self._read(folder)
        else:
            try:
                adapter = check_adapter(folder)
                version = self._whole(folder, adapter, {"base_model": ""})
            except VersionError as error:
                version = _damaged(folder, error)
        if version.damaged:
            raise VersionError(
                "adapter_path",
                "The adapter at {path} cannot be used. {why}",
                path=folder,
                why=version.damaged,
            )
        return version

    def current(self) -> str:
        """The name of the version that new answers use, `base` included."""
        return self.resolve_current().name

    def resolve_current(self) -> Current:
        """Like `current`, with the reason when `models/current` cannot be followed."""
        pointer = self._dir / "current"
        try:
            name = pointer.read_bytes()[:200].decode("utf-8").strip()
        except FileNotFoundError:
            return Current(BASE, None)
        except (OSError, UnicodeDecodeError):
            return Current(BASE, "models/current cannot be read.")
        if name == BASE:
            return Current(BASE, None)
        try:
            version = self.get(name)
        except VersionError:
            return Current(BASE, f"models/current names {name[:40]!r}, which is not there.")
        if version.damaged:
            return Current(BASE, f"{name} is damaged: {version.damaged}")
        return Current(name, None)

    def activate(self, name: str) -> None:
        """Make `name` (or `base`) the version of new answers, atomically.

        Raises VersionError when it is missing or damaged; the pointer is then as before.
        """
        if name != BASE:
            version = self.get(name)
            if version.damaged:
                raise VersionError(
                    "version_unusable",
                    "{name} is damaged and cannot be used: {why}",
                    name=name,
                    why=version.damaged,
                )
        try:
            with atomic_file(self._dir / "current") as temporary:
                temporary.write_text(name + "\n", "utf-8")
        except OSError as error:
            raise VersionError(
                "activate_failed",
                "The version could not be switched: {why}. The one before still answers.",
                why=error.strerror or str(error),
            ) from error

    def _read(self, folder: Path) -> Version:
        try:
            metadata = read_json(folder / "metadata.json")
            _check_metadata(metadata, folder.name)
            self._verify_manifest(folder)
            return self._whole(folder, check_adapter(folder / "adapter"), metadata)
        except VersionError as error:
            return _damaged(folder, error)
        except OSError as error:
            return _damaged(folder, broken("It cannot be read: {why}.", why=error.strerror))

    def _whole(self, folder: Path, adapter: Adapter, metadata: Mapping[str, Any]) -> Version:
        self._require_finite(adapter)
        training = metadata.get("training_config", {})
        return Version(
            name=folder.name,
            path=str(folder),
            base_model=metadata["base_model"],
            sha256=self._sha256(adapter.weights),
            created_at=metadata.get("created_at", ""),
            method=training.get("method", "") or adapter.peft_type.lower(),
            notes=metadata.get("notes", "") or "",
        )

    def _sha256(self, path: Path) -> str:
        now = identity(path)
        with self._lock:
            known = self._hashes.get(path)
        if known and known[0] == now:
            return known[1]
        digest = sha256_file(path)
        with self._lock:
            self._hashes[path] = (now, digest)
        return digest

    def _require_finite(self, adapter: Adapter) -> None:
        now = identity(adapter.weights)
        with self._lock:
            known = self._finite.get(adapter.weights)
        if not known or known[0] != now:
            reason = None
            try:
                check_finite(adapter.weights, adapter.tensors)
            except VersionError as error:
                reason = str(error)
            known = (now, reason)
            with self._lock:
                self._finite[adapter.weights] = known
        if known[1]:
            raise broken(known[1])

    def _verify_manifest(self, folder: Path) -> None:
        """Hold every file that MANIFEST.json names against its hash, if there is one."""
        path = folder / "MANIFEST.json"
        if not path.exists():
            return
        files = read_json(path, _MANIFEST_BYTES).get("files")
        if not isinstance(files, dict) or len(files) > _MAX_FILES:
            raise broken("MANIFEST.json has no list of files.")
        for needed in (f"adapter/{CONFIG}", f"adapter/{WEIGHTS}"):
            if needed not in files:
                raise broken("MANIFEST.json does not name {name}.", name=needed)
        for name, digest in files.items():
            parts = PurePosixPath(name).parts
            if not parts or name.startswith("/") or "\\" in name or {"..", "."} & set(parts):
                raise broken("MANIFEST.json names a path outside of the version.")
            if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
                raise broken("MANIFEST.json has no sha256 for {name}.", name=name)
            target = folder / name
            if not target.is_file():
                raise broken("{name} is missing.", name=name)
            if self._sha256(target) != digest:
                raise broken("{name} is not the file that was published.", name=name)


def _damaged(folder: Path, error: VersionError) -> Version:
    return Version(folder.name, str(folder), "", None, damaged=str(error))


def _check_metadata(metadata: Mapping[str, Any], name: str) -> None:
    """The keys that others rely on; more keys are fine. Raises VersionError."""
    for key in ("version", "base_model", "created_at"):
        if not isinstance(metadata.get(key), str) or not metadata[key]:
            raise broken("metadata.json does not say '{key}'.", key=key)
    if metadata["version"] != name:
        raise broken("metadata.json belongs to {other}.", other=metadata["version"][:40])
    for key in ("training_data", "training_config"):
        if not isinstance(metadata.get(key), dict):
            raise broken("metadata.json does not say '{key}'.", key=key)
    if not isinstance(metadata["training_config"].get("method"), str):
        raise broken("metadata.json does not say the training method.")
    if not isinstance(metadata.get("notes", ""), (str, type(None))):
        raise broken("The notes in metadata.json are no text.")
