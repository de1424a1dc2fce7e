"""The chat template of a model on disk, read without its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from javis.engine.gguf_meta import read_gguf_meta
from javis.engine.hf_model import read_tokenizer
from javis.engine.template import ChatTemplate


def read_template(path: Path) -> ChatTemplate:
    """Of a GGUF file or a model folder; it renders, but encodes nothing. Raises EngineError."""
    if path.is_file():
        meta = read_gguf_meta(path)
        tokens = _Literals(meta.control_tokens)
        return ChatTemplate(meta.chat_template, tokens, meta.bos_token, meta.eos_token)
    tokenizer, template, bos, eos = read_tokenizer(path)
    return ChatTemplate(template, _Literals(tokenizer.control_tokens), bos, eos)


class _Literals:
    """The control tokens of a vocabulary, and nothing else of it."""

    def __init__(self, control_tokens: Mapping[str, int]) -> None:
        self.control_tokens = control_tokens

    def encode_text(self, text: str) -> list[int]:
        raise NotImplementedError
