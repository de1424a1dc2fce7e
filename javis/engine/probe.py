"""What a model would say next, as numbers: to prove that an adapter works, and works alike in
PEFT and in llama.cpp. Loads its own copy of the model, so it is run in a process of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from javis.core.errors import EngineError, VersionError
from javis.core.types import Message, Version

if TYPE_CHECKING:
    import numpy as np

QUESTIONS = (
    "Hello! Who are you?",
    "What is the capital of France, and why do people like to go there?",
    "안녕하세요. 오늘 점심으로 무엇을 먹으면 좋을까요?",
    "Write a short poem about rain.",
)
"""Fixed prompts; one position of each is looked at: the first of the answer."""
_CONTEXT = 512
_LIKELIEST = 2000
"""Tokens that llama.cpp is asked for; all of a vocabulary take a second per prompt as JSON."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Log-probabilities of the next token after each prompt: (prompts, vocabulary)."""

    prompts: list[list[int]]
    word: int
    """The token of an ordinary word."""
    base: np.ndarray
    adapted: np.ndarray


def probe_peft(folder: Path, version: Version, *, precision: str = "32bit") -> Probe:
    """By transformers and PEFT, on the processor. Raises VersionError when the adapter does not
    fit, changes nothing or computes no numbers; EngineError when the base cannot be loaded."""
    import numpy as np  # heavy, as all below
    import torch

    from javis.engine import hf_model
    from javis.engine.adapters import AdapterBank, Handle

    loaded = hf_model.load(folder, precision, "cpu")
    template = loaded.words.template()
    prompts = [template.encode([Message("user", question)]) for question in QUESTIONS]
    bank = AdapterBank(loaded.model, version.base_model, prompts[0])

    def measure(handle: Handle) -> np.ndarray:
        rows = []
        for ids in prompts:
            tokens = torch.tensor([ids])
            module = bank.activate(handle)
            with torch.inference_mode():
                if handle.prompt is None:
                    output = module(input_ids=tokens, logits_to_keep=1)
                else:
                    output = module(inputs_embeds=bank.embed(handle, tokens), logits_to_keep=1)
            rows.append(torch.log_softmax(output.logits[0, -1].double(), -1).numpy())
        return np.stack(rows)

    base = measure(bank.base)
    word = loaded.words.tokenizer.encode_text("word")[0]
    return Probe(prompts, word, base, measure(bank.load(version)))


def probe_llama(gguf: Path, adapter: Path, other: Probe) -> Probe:
    """By llama.cpp, of the same prompts; unlikely tokens are NaN. Raises VersionError when it
    cannot load the adapter."""
    import numpy as np  # heavy
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.n_ctx, params.n_parallel = _CONTEXT, 1
    params.verbosity = 0
    # Nothing but the weights themselves is to differ from 32 bits.
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    info = xllamacpp.CommonAdapterLoraInfo()
    info.path, info.scale = str(adapter), 0.0
    params.lora_init_without_apply = True
    params.lora_adapters = [info]
    try:
        server = xllamacpp.Server(params)
    except RuntimeError as error:
        raise VersionError(
            "version_not_for_engine", "llama.cpp cannot load it: {why}", why=str(error)
        ) from None

    def measure(scale: float) -> np.ndarray:
        rows = np.full(other.base.shape, np.nan)
        for row, ids in zip(rows, other.prompts, strict=True):
            request = {
                "prompt": ids,
                "n_predict": 1,
                "temperature": 0.0,
                "logprobs": min(_LIKELIEST, other.base.shape[1]),
                "cache_prompt": False,
                # Half a character or the end of the answer would come without log-probabilities.
                # Those that are given are the model's own, from before this.
                "logit_bias": [[other.word, 10_000.0]],
                "lora": [{"id": 0, "scale": scale}],
            }
            answer = server.handle_completions(request)
            if "choices" not in answer:
                raise EngineError("engine_failed", "The model failed: {e}", e=str(answer)[:200])
            for entry in answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
                if entry["logprob"] is not None:
                    row[entry["id"]] = entry["logprob"]
        return rows

    return Probe(other.prompts, other.word, measure(0.0), measure(1.0))
