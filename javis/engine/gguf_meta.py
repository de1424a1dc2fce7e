"""What serving needs to know of a GGUF model: its vocabulary's control tokens and its template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from javis.core.errors import EngineError
from javis.engine.gguf_header import read_header

_CONTROL, _USER_DEFINED = 3, 4
"""`llama_token_type` in llama.h."""
_TOKENS, _TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"


@dataclass(frozen=True, slots=True)
class GgufMeta:
    """The part of a GGUF header that serving needs."""

    file_type: int
    context_tokens: int
    chat_template: str
    bos_token: str
    eos_token: str
    control_tokens: dict[str, int]
    """Literal and id of the control and user-defined tokens."""
    user_defined: tuple[str, ...]
    """Those of them that llama.cpp finds even in plain text."""
    key_length: int
    """Numbers in one head's key; 0 when the header does not tell."""


def read_gguf_meta(path: Path) -> GgufMeta:
    """Read the header of a chat model. Raises EngineError when it is none."""
    header = read_header(path, frozenset((_TOKENS, _TYPES)))
    fields = header.fields
    tokens, types = fields.get(_TOKENS), fields.get(_TYPES, [])
    template = fields.get("tokenizer.chat_template")
    if not tokens or not template or len(types) > len(tokens):
        raise EngineError(
            "no_chat_template",
            "{path} has no tokenizer or no chat template: it is not a chat model.",
            path=path,
        )

    def named(name: str) -> str:
        index = fields.get(f"tokenizer.ggml.{name}_token_id")
        return tokens[index] if isinstance(index, int) and 0 <= index < len(tokens) else ""

    special = (_CONTROL, _USER_DEFINED)
    return GgufMeta(
        file_type=int(fields.get("general.file_type", -1)),
        context_tokens=header.context_tokens or 4096,
        chat_template=str(template),
        bos_token=named("bos"),
        eos_token=named("eos"),
        control_tokens={tokens[i]: i for i, kind in enumerate(types) if kind in special},
        user_defined=tuple(tokens[i] for i, kind in enumerate(types) if kind == _USER_DEFINED),
        key_length=header.key_length,
    )
