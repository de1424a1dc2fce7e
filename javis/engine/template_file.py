"""The chat template of a model on disk, read without its weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from javis.engine.gguf_meta import read_gguf_meta
from javis.engine.hf_model import read_words
from javis.engine.template import ChatTemplate


def read_template(path: Path) -> ChatTemplate:
    """Of a GGUF file or a model folder; it renders, but encodes nothing. Raises EngineError."""
    if path.is_file():
        meta = read_gguf_meta(path)
        tokens = _Literals(meta.control_tokens)
        return ChatTemplate(meta.chat_template, tokens, meta.bos_token, meta.eos_token)
    words = read_words(path)
    tokens = _Literals(words.tokenizer.control_tokens)
    return ChatTemplate(words.chat_template, tokens, words.bos_token, words.eos_token)


class _Literals:
    """The control tokens of a vocabulary, and nothing else of it."""

    def __init__(self, control_tokens: Mapping[str, int]) -> None:
        self.control_tokens = control_tokens

    def encode_text(self, text: str) -> list[int]:
        raise NotImplementedError  # only what renders is read of the model, no vocabulary
