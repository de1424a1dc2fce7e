"""The header of a GGUF file, read in a tenth of a second.

`gguf.GGUFReader` builds arrays for every token and merge, 2.5 s for a small model. Here arrays are
stepped over unless asked for: what is left are the plain values and where each tensor lies.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (version 2 and 3).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from javis.core.errors import EngineError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_SCALARS[12] = "d"
_STRING, _ARRAY = 8, 9
_MAX_STRING = 1 << 24
_MAX_ITEMS = 1 << 24
_MAX_TENSORS = 1 << 20


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor as the file lists it."""

    shape: tuple[int, ...]
    """numpy order: the first is the number of rows."""
    type: int
    """`gguf.GGMLQuantizationType`."""
    offset: int
    """From the start of the tensor data, in bytes."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The plain values of a GGUF file and its tensors."""

    fields: Mapping[str, Any]
    """Numbers, flags and texts, and the arrays that were asked for."""
    tensors: Mapping[str, GgufTensor]

    @property
    def architecture(self) -> str:
        return str(self.fields.get("general.architecture", ""))

    def number(self, key: str, default: int = 0) -> int:
        """`key` of this architecture, such as `attention.head_count`."""
        value = self.fields.get(f"{self.architecture}.{key}", default)
        return int(value) if isinstance(value, (int, float)) else default

    @property
    def layers(self) -> int:
        return self.number("block_count")

    @property
    def heads(self) -> int:
        return self.number("attention.head_count")

    @property
    def kv_heads(self) -> int:
        return self.number("attention.head_count_kv", self.heads)

    @property
    def context_tokens(self) -> int:
        return self.number("context_length")

    @property
    def parameters(self) -> int:
        return sum(math.prod(t.shape) for t in self.tensors.values())

    @property
    def key_length(self) -> int:
        """Numbers in one head's key; 0 when the header does not tell."""
        if not self.heads:
            return 0
        return self.number("attention.key_length", self.number("embedding_length") // self.heads)

    def kv_bytes_per_token(self) -> int:
        """Size of the 16-bit key-value cache of one token."""
        return 2 * 2 * self.layers * self.kv_heads * self.key_length


def read_header(path: Path, arrays: frozenset[str] = frozenset()) -> GgufHeader:
    """Read the header of a GGUF file, with the arrays of these keys.

    Raises EngineError when it is none or is damaged.
    """
    try:
        with path.open("rb") as handle:
            return _Reader(handle, arrays).header()
    except FileNotFoundError:
        raise EngineError("no_model_file", "There is no model file at {path}.", path=path) from None
    except (struct.error, ValueError, OverflowError, OSError) as error:
        raise EngineError(
            "bad_gguf", "{path} is no readable GGUF file: {error}", path=path, error=error
        ) from None


class _Reader:
    def __init__(self, handle: IO[bytes], arrays: frozenset[str]) -> None:
        self._handle = handle
        self._arrays = arrays

    def header(self) -> GgufHeader:
        magic, version = self._handle.read(4), self._one("I")
        if magic != b"GGUF" or version not in (2, 3):
            raise ValueError("it does not begin like one")
        tensors, fields = self._one("Q"), self._one("Q")
        if tensors > _MAX_TENSORS or fields > _MAX_TENSORS:
            raise ValueError("its header is damaged")
        found: dict[str, Any] = {}
        for _ in range(fields):
            key, kind = self._text(), self._one("I")
            value = self._value(kind, keep=key in self._arrays)
            if value is not None:
                found[key] = value
        return GgufHeader(found, dict(self._tensor() for _ in range(tensors)))

    def _one(self, code: str) -> Any:
        size = struct.calcsize("<" + code)
        return struct.unpack("<" + code, self._handle.read(size))[0]

    def _length(self) -> int:
        length = int(self._one("Q"))
        if length > _MAX_STRING:
            raise ValueError("its header is damaged")
        return length

    def _text(self) -> str:
        length = self._length()
        data = self._handle.read(length)
        if len(data) != length:
            raise ValueError("it is cut off")
        return data.decode("utf-8", "replace")

    def _value(self, kind: int, *, keep: bool = False) -> Any:
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            return self._array(keep)
        if kind not in _SCALARS:
            raise ValueError(f"its header holds the unknown type {kind}")
        return self._one(_SCALARS[kind])

    def _array(self, keep: bool) -> list[Any] | None:
        kind, count = self._one("I"), self._one("Q")
        if count > _MAX_ITEMS:
            raise ValueError("its header is damaged")
        if kind != _STRING and kind not in _SCALARS:
            raise ValueError("its header holds nested lists")
        if keep:
            return [self._value(kind) for _ in range(count)]
        if kind == _STRING:
            for _ in range(count):
                self._handle.seek(self._length(), 1)
        else:
            self._handle.seek(count * struct.calcsize("<" + _SCALARS[kind]), 1)
        return None

    def _tensor(self) -> tuple[str, GgufTensor]:
        name, count = self._text(), self._one("I")
        if not 1 <= count <= 4:
            raise ValueError("its list of tensors is damaged")
        shape = tuple(self._one("Q") for _ in range(count))
        return name, GgufTensor(shape[::-1], self._one("I"), self._one("Q"))
