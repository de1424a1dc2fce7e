"""What a GGUF file says about itself, read once and remembered beside it."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from javis.core.errors import EngineError

_CONTROL, _USER_DEFINED = 3, 4
"""`llama_token_type` in llama.h."""
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class GgufMeta:
    """The part of a GGUF header that serving needs."""

    architecture: str
    name: str
    file_type: int
    context_tokens: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    chat_template: str
    bos_token: str
    eos_token: str
    control_tokens: dict[str, int]
    """Literal and id of the control and user-defined tokens."""
    user_defined: tuple[str, ...]
    """Those of them that llama.cpp finds even in plain text."""

    def kv_bytes_per_token(self) -> int:
        """Size of the 16-bit key-value cache of one token."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_size


def read_gguf_meta(path: Path) -> GgufMeta:
    """Read the header of `path`; about 3 s for a large vocabulary, so the result is cached."""
    if not path.is_file():
        raise EngineError("no_model_file", "There is no model file at {path}.", path=path)
    stat = path.stat()
    key = [_FORMAT, stat.st_size, stat.st_mtime_ns]
    cache = path.with_name(f".{path.name}.meta.json")
    with suppress(OSError, ValueError, TypeError, KeyError):
        known = json.loads(cache.read_text("utf-8"))
        if known.pop("key") == key:
            return GgufMeta(**{**known, "user_defined": tuple(known["user_defined"])})
    meta = _read(path)
    # A read-only model folder is fine: the header is read again next time.
    with suppress(OSError):
        cache.write_text(json.dumps({"key": key, **asdict(meta)}), "utf-8")
    return meta


def _read(path: Path) -> GgufMeta:
    from gguf import GGUFReader  # heavy: numpy

    try:
        fields = GGUFReader(str(path)).fields
    except (ValueError, OSError, IndexError) as error:
        raise EngineError(
            "bad_gguf", "{path} is no readable GGUF file: {error}", path=path, error=error
        ) from None

    def get(key: str, default: Any = None) -> Any:
        return fields[key].contents() if key in fields else default

    arch = str(get("general.architecture", ""))
    tokens = fields.get("tokenizer.ggml.tokens")
    template = get("tokenizer.chat_template")
    if tokens is None or not template:
        raise EngineError(
            "no_chat_template",
            "{path} has no tokenizer or no chat template: it is not a chat model.",
            path=path,
        )

    def literal(index: int) -> str:
        return bytes(tokens.parts[tokens.data[index]]).decode("utf-8", "replace")

    types = get("tokenizer.ggml.token_type", [])
    special = {literal(i): i for i, kind in enumerate(types) if kind in (_CONTROL, _USER_DEFINED)}
    heads = int(get(f"{arch}.attention.head_count", 1))
    size = get(f"{arch}.attention.key_length") or int(get(f"{arch}.embedding_length", 0)) // heads
    ids = {name: get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos")}
    return GgufMeta(
        architecture=arch,
        name=str(get("general.name", path.stem)),
        file_type=int(get("general.file_type", -1)),
        context_tokens=int(get(f"{arch}.context_length", 4096)),
        layers=int(get(f"{arch}.block_count", 0)),
        heads=heads,
        kv_heads=int(get(f"{arch}.attention.head_count_kv", heads)),
        head_size=int(size),
        chat_template=str(template),
        bos_token=literal(ids["bos"]) if ids["bos"] is not None else "",
        eos_token=literal(ids["eos"]) if ids["eos"] is not None else "",
        control_tokens=special,
        user_defined=tuple(literal(i) for i, kind in enumerate(types) if kind == _USER_DEFINED),
    )
