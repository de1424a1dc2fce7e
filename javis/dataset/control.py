"""Literals of control tokens in text. They are encoded as plain text, so they cannot take a model
over; learned, they would be spelled out in answers."""

from __future__ import annotations

import re
from collections.abc import Iterable

KNOWN = (
    # ChatML, Qwen, SmolLM, KORMo
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_sep|>"),
    *("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"),
    # Llama
    *("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>"),
    *("<|eot_id|>", "<|eom_id|>", "<|python_tag|>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"),
    # Gemma
    *("<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>"),
    # gpt-oss, Phi, EXAONE, HyperCLOVA, Kanana and others
    *("<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|return|>", "<|endofturn|>"),
    *("<|system|>", "<|user|>", "<|assistant|>", "[|system|]", "[|user|]", "[|assistant|]"),
    *("[|endofturn|]", "<|stop|>", "<|eos|>", "<|bos|>", "<|pad|>", "<|sep|>"),
    *("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|file_sep|>", "<|repo_name|>"),
)
_HTML_LIKE = ("<s>", "</s>")
"""Tokens of Llama 2 and Mistral that are HTML too: they count only when the model in use has them,
or beside `[INST]`."""
_TOKEN = re.compile(r"<\|[^<>|\s]{1,60}\|>|\[\|[a-z_]{1,40}\|\]|\[/?INST\]|<</?SYS>>|</?[a-z_]+>")


class ControlTokens:
    """Finds the literals that are known, and those of the model in use."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        literals = {*KNOWN, *filter(None, more)}
        self._literals = sorted(literals, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, self._literals)))
        # Most texts are done after a look for these.
        self._starts = tuple({literal[0] for literal in literals})

    def find(self, text: str) -> tuple[str, ...]:
        """The literals in `text`, each once, in the order of their first place."""
        for start in self._starts:
            if start in text:
                break
        else:
            return ()
        found = dict.fromkeys(match.group() for match in self._pattern.finditer(text))
        if "[INST]" in found:
            found |= dict.fromkeys(literal for literal in _HTML_LIKE if literal in text)
        return tuple(found)


def literals_in(rendered: str) -> set[str]:
    """What looks like a control token in a text that a chat template wrote."""
    return set(_TOKEN.findall(rendered))
