"""Unpacking a zip file that a stranger made: known names only, nothing followed, sizes counted.

Python's own `extractall` has been led out of its folder by links and odd names more than once
(CVE-2025-4517 and its like), so nothing here is extracted under a name that an archive chose.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from javis.core.errors import VersionError
from javis.engine.adapter import CONFIG, WEIGHTS

_KIB, _MIB = 1 << 10, 1 << 20
LIMITS = {
    CONFIG: 256 * _KIB,
    WEIGHTS: 8 << 30,
    "metadata.json": 256 * _KIB,
    "MANIFEST.json": _MIB,
}
"""What is taken out of an archive, and the most bytes of each."""
_IGNORED = {
    *("README.md", "LICENSE", ".gitattributes", "report.json", "adapter.gguf"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "merges.txt", "generation_config.json", "chat_template.jinja"),
}
"""What PEFT, TRL and JAVIS put beside an adapter; it is left in the archive, unread."""
_CODE = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py", ".pyc", ".so", ".joblib")
_FOLDER = re.compile(r"\w[\w ()+,.~-]{0,99}")
"""Names are compared and shown, never used for a file."""
_MAX_ENTRIES = 64
_DIRECTORY_BYTES = 64 * _KIB
_END = struct.Struct("<4s4H2LH")
_TAIL_BYTES = _END.size + 0xFFFF
_RATIO = 200
"""A trained adapter hardly shrinks at all; what grows so much is no adapter."""
_BLOCK = 1 << 20


def refuse(sentence: str, **values: object) -> VersionError:
    return VersionError(
        "adapter_refused", "The adapter cannot be imported: {why}", why=_said(sentence, values)
    )


def _said(sentence: str, values: Mapping[str, object]) -> str:
    return sentence.format(**values) if values else sentence


def unpack(source: IO[bytes], target: Path) -> None:
    """Put the known files of a zip archive flat into the empty folder `target`.

    They may lie in one folder of any name, and the adapter's in `adapter/`. Raises VersionError for
    an archive that holds anything unknown or is not what it says; `target` is then of no use.
    """
    _check_end(source)
    try:
        with zipfile.ZipFile(source) as archive:
            for name, entry in _wanted(archive).items():
                _extract(archive, entry, target / name, LIMITS[name])
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError) as error:
        raise refuse("the zip file is damaged ({why}).", why=str(error) or "cut off") from None
    except (NotImplementedError, RuntimeError, OverflowError):
        raise refuse("the zip file uses features that are refused.") from None


def _check_end(source: IO[bytes]) -> None:
    """Look at the counts before anybody reads a directory of a million entries."""
    size = source.seek(0, 2)
    source.seek(max(0, size - _TAIL_BYTES))
    tail = source.read(_TAIL_BYTES)
    start = tail.rfind(b"PK\x05\x06")
    if start < 0 or len(tail) - start < _END.size:
        raise refuse("it is no zip file.")
    _, disk, first, here, entries, bytes_, offset, _ = _END.unpack_from(tail, start)
    if b"PK\x06\x07" in tail[max(0, start - 20) : start] or 0xFFFF in (entries, here):
        raise refuse("the zip file is of the kind for huge archives.")
    if entries > _MAX_ENTRIES or bytes_ > _DIRECTORY_BYTES:
        raise refuse("the zip file holds more than {most} files.", most=_MAX_ENTRIES)
    if disk or first or here != entries or offset + bytes_ > size:
        raise refuse("the zip file is damaged.")


def _wanted(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The entries to take out, by the name they get; every other entry must be known too."""
    found: dict[str, zipfile.ZipInfo] = {}
    seen: set[str] = set()
    tops: set[str] = set()
    for entry in archive.infolist():
        _check_entry(entry)
        parts = entry.orig_filename.rstrip("/").split("/")
        key = "/".join(parts).casefold()
        if key in seen:
            raise refuse("it holds '{name}' twice.", name=_shown(entry))
        seen.add(key)
        if parts[0] == "__MACOSX" or parts[-1] in (".DS_Store", "Thumbs.db"):
            continue  # what computers put beside files by themselves
        if not all(_FOLDER.fullmatch(part) or part in _IGNORED for part in parts):
            raise refuse("it holds the name '{name}'.", name=_shown(entry))
        if entry.orig_filename.endswith("/"):
            continue
        *folders, name = parts
        if folders and folders[-1] == "adapter":
            folders.pop()
        tops.add("/".join(folders))
        if len(folders) > 1 or len(tops) > 1:
            raise refuse("its files lie in several folders, such as '{name}'.", name=_shown(entry))
        if name in LIMITS:
            if name in found:
                raise refuse("it holds '{name}' twice.", name=name)
            found[name] = entry
        elif name not in _IGNORED:
            raise refuse("it holds '{name}', which is not part of an adapter.", name=_shown(entry))
    for needed in (CONFIG, WEIGHTS):
        if needed not in found:
            raise refuse("{name} is missing.", name=needed)
    return found


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.orig_filename
    if name.lower().endswith(_CODE):
        raise refuse("it holds '{name}', a kind of file that can run code.", name=_shown(entry))
    if entry.flag_bits & 0x2061:
        raise refuse("'{name}' is encrypted.", name=_shown(entry))
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise refuse("'{name}' is packed in an unusual way.", name=_shown(entry))
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise refuse("'{name}' is a link or a device.", name=_shown(entry))


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, limit: int) -> None:
    most = min(limit, entry.compress_size * _RATIO + _MIB)
    written = 0
    with archive.open(entry) as source, target.open("xb") as out:
        while block := source.read(_BLOCK):
            written += len(block)
            if written > most:
                raise refuse("'{name}' is larger than it may be.", name=_shown(entry))
            out.write(block)


def _shown(entry: zipfile.ZipInfo) -> str:
    """A name as it can be shown: printable and short."""
    return "".join(c if c.isprintable() else "?" for c in entry.orig_filename)[:80]
