"""What serving needs to know of a GGUF model: its vocabulary's control tokens and its template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from javis.core.errors import EngineError
from javis.engine.gguf_header import read_header
from javis.engine.template import is_marker

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
    """Literal and id of the control tokens and of those user-defined ones that are markers."""
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
    texts = isinstance(tokens, list) and all(isinstance(token, str) for token in tokens)
    if not tokens or not texts or not template or len(types) > len(tokens):
        raise EngineError(
            "no_chat_template",
            "{path} has no tokenizer or no chat template: it is not a chat model.",
            path=path,
        )

    def named(name: str) -> str:
        index = fields.get(f"tokenizer.ggml.{name}_token_id")
        return tokens[index] if isinstance(index, int) and 0 <= index < len(tokens) else ""

    added = [i for i, kind in enumerate(types) if kind == _USER_DEFINED and is_marker(tokens[i])]
    control = [i for i, kind in enumerate(types) if kind == _CONTROL]
    file_type = fields.get("general.file_type")
    return GgufMeta(
        file_type=file_type if isinstance(file_type, int) else -1,
        context_tokens=header.context_tokens or 4096,
        chat_template=str(template),
        bos_token=named("bos"),
        eos_token=named("eos"),
        control_tokens={tokens[i]: i for i in sorted((*control, *added))},
        user_defined=tuple(tokens[i] for i in added),
        key_length=header.key_length,
    )
