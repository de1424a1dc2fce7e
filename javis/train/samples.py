"""Short answers of the candidate, for people to look at: always the likeliest word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from javis.core.types import Message
from javis.train.base import Base

_NEW_TOKENS = 40
_PROMPT_TOKENS = 512


def answers(base: Base, model: Any, prompts: Sequence[Sequence[Message]]) -> list[str]:
    """What `model`, a causal model or a PeftModel over `base`, answers to each prompt."""
    import torch  # heavy
    from transformers import GenerationConfig

    if not prompts:
        return []
    rows = [base.template.encode(prompt)[-_PROMPT_TOKENS:] for prompt in prompts]
    width = max(map(len, rows))
    # The prompts end together, so that the answers begin together.
    ids = torch.tensor([[base.pad_id] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    stops = set(base.loaded.eos_ids) | {
        base.loaded.tokenizer.control_tokens[base.template.end_of_turn]
    }
    config = GenerationConfig(
        max_new_tokens=_NEW_TOKENS,
        do_sample=False,
        eos_token_id=sorted(stops),
        pad_token_id=base.pad_id,
    )
    was_training = model.training
    model.eval()
    with torch.inference_mode(), base.autocast():
        found = model.generate(
            input_ids=ids.to(base.device),
            attention_mask=mask.to(base.device),
            generation_config=config,
        )
    model.train(was_training)
    new = found[:, -(found.shape[1] - width) :] if found.shape[1] > width else found[:, :0]
    return [_text(base, row, stops) for row in new.tolist()]


def _text(base: Base, ids: Sequence[int], stops: set[int]) -> str:
    end = next((i for i, token in enumerate(ids) if token in stops), len(ids))
    control = base.loaded.tokenizer.control_ids
    plain = [token for token in ids[:end] if token not in control]
    return base.loaded.tokenizer.decode(plain).rstrip("�")
