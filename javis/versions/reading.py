"""Reading one version's folder: what it says, and whether it is whole."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from javis.core.errors import VersionError
from javis.core.types import Version
from javis.engine.adapter import (
    CONFIG,
    WEIGHTS,
    Adapter,
    bare_sha256,
    broken,
    check_adapter,
    check_finite,
    read_json,
)
from javis.engine.files import identity, sha256_file

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MANIFEST_BYTES = 1 << 20
_MAX_FILES = 10_000


class Reader:
    """Reads folders from disk each time; only hashes are remembered, by size, mtime and inode."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hashes: dict[Path, tuple[tuple[int, int, int], str]] = {}
        self._finite: dict[Path, tuple[tuple[int, int, int], str | None]] = {}

    def version(self, folder: Path) -> Version:
        """The version in a folder named after it; `damaged` says what is wrong with it."""
        try:
            metadata = read_json(folder / "metadata.json")
            _check_metadata(metadata, folder.name)
            self._verify_manifest(folder)
            return self._whole(folder, check_adapter(folder / "adapter"), metadata)
        except VersionError as error:
            return _damaged(folder, error)
        except OSError as error:
            return _damaged(folder, broken("It cannot be read: {why}.", why=error.strerror))

    def adapter(self, folder: Path) -> Version:
        """A bare adapter folder, named after it, without a base model to compare."""
        try:
            version = self._whole(folder, check_adapter(folder), {"base_model": ""})
            sha256 = bare_sha256(version.sha256 or "", (folder / CONFIG).read_bytes())
            return replace(version, sha256=sha256)
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
