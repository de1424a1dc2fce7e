"""GGUF headers that lie, or are cut off, are refused in a moment and with little memory."""

from __future__ import annotations

import random
import struct
import tracemalloc
from pathlib import Path

import pytest

from javis.core.errors import EngineError
from javis.engine import gguf_header
from javis.engine.gguf_header import read_header
from javis.engine.gguf_meta import read_gguf_meta

HUGE = (2**62, 2**63 - 1, 2**64 - 1)
MIB = 1 << 20


def header(tensors: int, fields: int, rest: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, fields) + rest


def text(value: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(value) if length is None else length) + value


def lies() -> dict[str, bytes]:
    found = {}
    for size in HUGE:
        found |= {
            f"tensors {size}": header(size, 0),
            f"fields {size}": header(0, size),
            f"key {size}": header(0, 1, text(b"key", size)),
            f"value {size}": header(0, 1, text(b"key") + struct.pack("<I", 8) + text(b"v", size)),
            f"numbers {size}": header(0, 1, text(b"key") + struct.pack("<IIQ", 9, 4, size)),
            f"texts {size}": header(0, 1, text(b"key") + struct.pack("<IIQ", 9, 8, size)),
            f"name {size}": header(1, 0, text(b"name", size)),
        }
    for size in (10 * MIB, 100 * MIB):  # below the limits or above: the file has no such bytes
        found |= {
            f"cut text {size}": header(0, 1, text(b"key") + struct.pack("<I", 8) + text(b"", size)),
            f"cut texts {size}": header(0, 1, text(b"key") + struct.pack("<IIQ", 9, 8, size)),
        }
    nested = text(b"key") + struct.pack("<IIQ", 9, 9, 1)
    return found | {"nested lists": header(0, 1, nested), "dimensions": header(1, 0, text(b"a") +
                    struct.pack("<I", 2**31))}  # fmt: skip


@pytest.mark.parametrize("lie", lies().values(), ids=lies().keys())
@pytest.mark.parametrize("arrays", [frozenset[str](), frozenset(("key",))])
def test_a_lie_is_refused_without_taking_memory(
    tmp_path: Path, lie: bytes, arrays: frozenset[str]
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(lie)
    tracemalloc.start()
    try:
        with pytest.raises(EngineError):
            read_header(path, arrays)
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()


def test_without_its_limits_a_length_is_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken variant: what the limits are for."""
    for name in ("_MAX_STRING", "_MAX_ITEMS", "_MAX_TENSORS"):
        monkeypatch.setattr(gguf_header, name, 2**64)
    path = tmp_path / "model.gguf"
    path.write_bytes(lies()[f"value {HUGE[0]}"])
    with pytest.raises(MemoryError):
        read_header(path)


def test_whatever_is_changed_in_a_header_it_is_read_or_refused(
    embedded_gguf: Path, tmp_path: Path
) -> None:
    with embedded_gguf.open("rb") as handle:
        whole = handle.read(2 * MIB)
    path, rng = tmp_path / "model.gguf", random.Random(7)
    for _ in range(40):
        changed = bytearray(whole[: rng.choice((len(whole), rng.randrange(4096)))])
        for _ in range(rng.randrange(1, 6)):
            if changed:
                # Most of the structure lies in the first kilobyte.
                changed[rng.randrange(min(len(changed), 1024))] = rng.randrange(256)
        path.write_bytes(changed)
        try:
            read_gguf_meta(path)
        except EngineError:
            continue
