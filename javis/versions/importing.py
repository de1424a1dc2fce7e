"""Taking in an adapter that was made elsewhere, verified like one of our own."""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from javis.core.errors import VersionError
from javis.core.types import Version
from javis.engine.adapter import CONFIG, WEIGHTS, Adapter, check_adapter, read_json
from javis.engine.files import sha256_file
from javis.engine.models import same_model
from javis.versions.archive import refuse, unpack
from javis.versions.history import now_iso
from javis.versions.publish import Publisher, staging
from javis.versions.registry import NAME

_FORM = re.compile(r"(\.dense|\.gguf|[.-](I?Q\d\w*|B?F16|F32|GGUF))+$", re.IGNORECASE)
_DATA = ("total_conversations", "total_turns", "date_range")
_MAX_NOTES = 2000


def bring_in(
    source: Path | bytes, publisher: Publisher, model: str, *, by: str, note: str = ""
) -> Version:
    """Publish the adapter in a folder, a zip file or the bytes of one; it is not served yet.

    `model` is the id of the base that it must have been made for. Raises VersionError, and
    nothing is changed, for anything that is not a whole and safe adapter of it.
    """
    name = "upload" if isinstance(source, bytes) else source.name
    job = f"import-{secrets.token_hex(6)}"
    try:
        with _opened(source, publisher, f"{job}-in") as (folder, beside):
            adapter = _checked(folder)
            _check_hashes(adapter, beside / "MANIFEST.json")
            given = _given_metadata(beside / "metadata.json")
            _require_base(adapter, given, model)
            metadata = _metadata(adapter, given, model, note or f"Imported from {name[:100]}.")
            metadata["imported"] = {"at": now_iso(), "by": by, "from": name[:200]}
            return publisher.publish(folder, metadata, {}, job=job, by=by, major=True)
    except OSError as error:
        raise refuse("{why}.", why=error.strerror or error) from error


@contextmanager
def _opened(source: Path | bytes, publisher: Publisher, job: str) -> Iterator[tuple[Path, Path]]:
    """(the adapter's folder, the folder of metadata.json), as long as it is needed."""
    if isinstance(source, Path) and source.is_dir():
        inner = source / "adapter"
        yield (inner if inner.is_dir() else source), source
        return
    if isinstance(source, Path) and not source.is_file():
        raise refuse("there is nothing at {path}.", path=source)
    with staging(publisher.models_dir, job, publisher.disk) as folder:
        stream = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        with stream:
            unpack(stream, folder)
        yield folder, folder


def _checked(folder: Path) -> Adapter:
    try:
        return check_adapter(folder)
    except VersionError as error:
        raise refuse("{why}", why=error) from None


def _check_hashes(adapter: Adapter, manifest: Path) -> None:
    """A manifest that came along must fit: else something was changed on the way."""
    if not manifest.is_file():
        return
    files = read_json(manifest, 1 << 20).get("files")
    known = files if isinstance(files, dict) else {}
    for path in (adapter.folder / CONFIG, adapter.folder / WEIGHTS):
        name = PurePosixPath("adapter", path.name).as_posix()
        if known.get(name) != sha256_file(path):
            raise refuse("{name} is not the file that its MANIFEST.json names.", name=path.name)


def _given_metadata(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    metadata = read_json(path)
    version = metadata.get("version")
    if not isinstance(version, str) or not NAME.fullmatch(version):
        raise refuse("its metadata.json does not say which version it was.")
    return metadata


def _require_base(adapter: Adapter, given: Mapping[str, Any], model: str) -> None:
    """The base must be ours by name. What is named is compared, never followed or loaded."""
    named = [
        str(name)[:200]
        for name in (adapter.config.get("base_model_name_or_path"), given.get("base_model"))
        if name
    ]
    if not named:
        raise refuse("it does not say which base model it was made for.")
    for name in named:
        last = re.split(r"[/\\]|--", name.rstrip("/\\"))[-1]
        if not any(same_model(n, model) for n in (name, last, _FORM.sub("", last))):
            raise refuse("it was made for {theirs}, not for {ours}.", theirs=name, ours=model)


def _metadata(adapter: Adapter, given: Mapping[str, Any], model: str, note: str) -> dict[str, Any]:
    """Spec L7's metadata, with what the given one says where that makes sense."""
    data, config = _object(given.get("training_data")), _object(given.get("training_config"))
    method = config.get("method")
    notes = given.get("notes")
    counts = {key: data[key] for key in _DATA if key in data}
    defaults: dict[str, Any] = {"total_conversations": 0, "total_turns": 0, "date_range": []}
    return {
        "base_model": model,
        "training_data": defaults | counts,
        "training_config": {
            "method": method[:100] if isinstance(method, str) else adapter.peft_type.lower(),
            "epochs": config.get("epochs"),
            "learning_rate": config.get("learning_rate"),
            "lora_r": adapter.config.get("r"),
            "lora_alpha": adapter.config.get("lora_alpha"),
        },
        "notes": f"{note} {notes[:_MAX_NOTES]}" if isinstance(notes, str) and notes else note,
        "parent": None,
    }


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
