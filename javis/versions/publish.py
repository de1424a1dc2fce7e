"""Making a trained or imported adapter a version: whole or not at all.

Everything is written into `models/.staging-<job>` and verified there. One rename makes it
`models/vX.Y`. Whoever reads sees all of it or nothing, wherever the program dies; what is left in
a staging folder then is deleted at the next start.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from javis.core.errors import Busy, VersionError
from javis.core.types import Version
from javis.engine.adapter import (
    CONFIG,
    WEIGHTS,
    Adapter,
    broken,
    check_adapter,
    check_config,
    check_finite,
    read_json,
)
from javis.engine.files import sha256_file, try_lock
from javis.engine.models import same_model
from javis.versions import gguf, history
from javis.versions.disk import Disk, locked, remove_tree
from javis.versions.metadata import complete
from javis.versions.registry import DELETED, NAME, Registry

GGUF = "adapter.gguf"
_STAGING = ".staging-"
_JOB = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LEFT_OVER_S = 3600.0
_ADAPTER_BYTES = 9 << 30

Proof = Callable[[Path], Mapping[str, Any]]
"""Runs the adapter in a staged version's folder and says with numbers that it changes the answers
and that both engines agree; raises VersionError when not. Slow: it loads the base model."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """Publishes into one models folder, for one base model."""

    models_dir: Path
    base_gguf: Path | None = None
    """The base that llama.cpp serves; with it the GGUF form of a LoRA is made."""
    prove: Proof | None = None
    disk: Disk = field(default_factory=Disk)

    def publish(
        self,
        adapter_dir: Path,
        metadata: Mapping[str, Any],
        report: Mapping[str, Any],
        *,
        job: str,
        by: str = "",
        major: bool | None = None,
    ) -> Version:
        """See `publish`."""
        return publish(
            self.models_dir,
            adapter_dir,
            metadata,
            report,
            job=job,
            by=by,
            major=major,
            base_gguf=self.base_gguf,
            prove=self.prove,
            disk=self.disk,
        )


def publish(
    models_dir: Path,
    adapter_dir: Path,
    metadata: Mapping[str, Any],
    report: Mapping[str, Any],
    *,
    job: str,
    by: str = "",
    major: bool | None = None,
    base_gguf: Path | None = None,
    prove: Proof | None = None,
    disk: Disk | None = None,
) -> Version:
    """Make `adapter_dir` (PEFT's files) the next version; returns it. It does not serve it yet.

    `metadata` is spec L7's without `version`: base_model, training_data, training_config, notes,
    and created_at, parent, manifest_sha256, … as wanted. `report` becomes report.json, with what
    `prove` found. `major` None: a new major number for a new base or method, else the next minor.

    Raises VersionError (nothing was changed) for an adapter that is broken or changes nothing, a
    full disk and the like; Busy when another program publishes the same job.
    """
    disk = disk or Disk()
    wanted = complete(metadata)
    try:
        with staging(models_dir, job, disk) as folder:
            adapter = _take_in(adapter_dir, folder, wanted["base_model"], disk)
            made = _convert(adapter, folder, base_gguf)
            proof = dict(prove(folder)) if prove else None
            for path in (adapter.weights, adapter.folder / CONFIG):
                disk.sync(path)
            with locked(models_dir):
                name = _next_name(models_dir, wanted, major)
                files = {
                    "metadata.json": {"version": name} | wanted,
                    "report.json": dict(report) | ({"proof": proof} if proof else {}),
                }
                _finish(folder, files, made, disk)
                disk.rename(folder, models_dir / name)
                # From here on it is there and whole; what fails now only makes it less durable.
                with contextlib.suppress(OSError):
                    disk.sync_dir(models_dir)
                    event = history.Event(history.now_iso(), by or job, None, name, "published")
                    history.append(models_dir, event, disk)
    except OSError as error:
        raise VersionError(
            "publish_failed",
            "The new version could not be written: {why}. Nothing was changed.",
            why=error.strerror or error,
        ) from error
    return Registry(models_dir).get(name)


def next_version(taken: Iterable[str], line: int | None) -> str:
    """`v1.0` at first; then the next minor of the major number `line`, or (None) a new major."""
    numbers = [_number(name) for name in taken if NAME.fullmatch(name)]
    if not numbers:
        return "v1.0"
    if line is None:
        return f"v{max(major for major, _ in numbers) + 1}.0"
    return f"v{line}.{max((minor for major, minor in numbers if major == line), default=-1) + 1}"


def clean_up(models_dir: Path) -> list[str]:
    """Delete what crashed programs left behind; returns the names. Call it at the start."""
    found = []
    if models_dir.is_dir():
        for path in sorted(models_dir.iterdir()):
            if path.name.startswith((_STAGING, DELETED)) and path.is_dir() and _abandoned(path):
                remove_tree(path)
                found.append(path.name)
    return found


@contextlib.contextmanager
def staging(models_dir: Path, job: str, disk: Disk) -> Iterator[Path]:
    """A new folder for this job, locked as long as it is worked on; it goes if it is not used."""
    if not _JOB.fullmatch(job):
        raise ValueError(f"no name of a job: {job!r}")
    models_dir.mkdir(parents=True, exist_ok=True)
    folder = models_dir / f"{_STAGING}{job}"
    if folder.exists():
        if not _abandoned(folder, 0):
            raise Busy("versions_publishing", "This run is being published already.")
        remove_tree(folder)
    disk.make_dir(folder)
    handle = _hold(folder)
    try:
        yield folder
    finally:
        if handle is not None:
            os.close(handle)
        remove_tree(folder)


def _hold(folder: Path) -> int | None:
    if sys.platform == "win32":
        return None  # Folders cannot be opened there.
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try_lock(handle)
    return handle


def _abandoned(folder: Path, after_s: float = _LEFT_OVER_S) -> bool:
    """Whether no living process works on a staging folder."""
    if sys.platform == "win32":
        return time.time() - folder.stat().st_mtime >= after_s
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return try_lock(handle)
    finally:
        os.close(handle)


def _take_in(source: Path, folder: Path, base_model: str, disk: Disk) -> Adapter:
    """Copy the two files that make an adapter, nothing else, and verify the copy."""
    config = read_json(source / CONFIG)
    check_config(config)
    target = folder / "adapter"
    disk.make_dir(target)
    # The field is never followed; a path of the machine it was trained on is nobody's business.
    config["base_model_name_or_path"] = base_model
    disk.write(target / CONFIG, _json(config))
    weights = source / WEIGHTS
    if not weights.is_file():
        raise broken("{name} is missing.", name=WEIGHTS)
    if weights.stat().st_size > _ADAPTER_BYTES:
        raise broken("{name} is larger than 8 GB.", name=WEIGHTS)
    disk.copy(weights, target / WEIGHTS)
    adapter = check_adapter(target)
    check_finite(adapter.weights, adapter.tensors)
    return adapter


def _convert(adapter: Adapter, folder: Path, base_gguf: Path | None) -> dict[str, Any] | None:
    """Make the form that llama.cpp serves, where there is one; says what it was made for."""
    if base_gguf is None or gguf.refusal(adapter) is not None:
        return None
    gguf.convert(adapter.folder, base_gguf, folder / GGUF)
    return gguf.stamp(base_gguf)


def _next_name(models_dir: Path, metadata: Mapping[str, Any], major: bool | None) -> str:
    taken = [path.name for path in models_dir.iterdir()]
    # Numbers of deleted versions are not used again: answers and ratings still name them.
    taken += [name for e in history.read(models_dir) for name in (e.before, e.after) if name]
    line = None
    registry = Registry(models_dir)
    for name in sorted(filter(NAME.fullmatch, taken), key=_number):
        known = registry.metadata(name)
        config = known.get("training_config")
        method = config.get("method") if isinstance(config, dict) else None
        if method == metadata["training_config"]["method"] and same_model(
            str(known.get("base_model")), metadata["base_model"]
        ):
            line = _number(name)[0]
    if major:
        line = None
    elif major is False and line is None:
        line = max((_number(n)[0] for n in taken if NAME.fullmatch(n)), default=None)
    return next_version(taken, line)


def _number(name: str) -> tuple[int, int]:
    major, _, minor = name[1:].partition(".")
    return int(major), int(minor)


def _finish(
    folder: Path, files: Mapping[str, Any], made: dict[str, Any] | None, disk: Disk
) -> None:
    """Write what describes the version, its hashes last; sync and seal all of it."""
    for name, value in files.items():
        disk.write(folder / name, _json(value))
    contents = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = {path.relative_to(folder).as_posix(): sha256_file(path) for path in contents}
    manifest = {"files": hashes} | ({"gguf": made} if made else {})
    disk.write(folder / "MANIFEST.json", _json(manifest))
    for path in (*(folder / name for name in files), folder / "MANIFEST.json"):
        disk.sync(path)
    for path in [*contents, folder / "MANIFEST.json"]:
        disk.seal(path)
    disk.sync_dir(folder / "adapter")
    disk.sync_dir(folder)
    disk.seal(folder / "adapter")


def _json(value: Any) -> bytes:
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise broken("The report or metadata hold a value that is no number.") from None
    return text.encode("utf-8", "replace") + b"\n"
