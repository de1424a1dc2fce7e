"""Short answers of a model in the trainer's process: always the likeliest word."""

from __future__ import annotations

from collections.abc import Sequence

from javis.core.types import Message
from javis.train.base import Base
from javis.train.score import Reader

_NEW_TOKENS = 40
_PROMPT_TOKENS = 512


def answers(reader: Reader, prompts: Sequence[Sequence[Message]]) -> list[str]:
    """What a model answers to each prompt, for people to look at."""
    return [text for text, _ in written(reader, prompts, _NEW_TOKENS)]


def written(
    reader: Reader, prompts: Sequence[Sequence[Message]], tokens: int
) -> list[tuple[str, bool]]:
    """The answer to each prompt, and whether it came to its end within so many tokens."""
    import torch  # heavy
    from transformers import GenerationConfig

    if not prompts:
        return []
    base, module = reader.base, reader.module
    rows = [base.template.encode(prompt)[-_PROMPT_TOKENS:] for prompt in prompts]
    width = max(map(len, rows))
    # The prompts end together, so that the answers begin together.
    ids = torch.tensor([[base.pad_id] * (width - len(row)) + row for row in rows]).to(base.device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    control = base.loaded.words.tokenizer.control_tokens
    stops = set(base.loaded.eos_ids) | {control[base.template.end_of_turn]}
    config = GenerationConfig(
        max_new_tokens=tokens,
        do_sample=False,
        eos_token_id=sorted(stops),
        pad_token_id=base.pad_id,
    )
    was_training = module.training
    module.eval()
    with torch.inference_mode(), base.autocast():
        # From embeddings, which a learned prompt is; only the new tokens come back.
        found = module.generate(**reader.embed(ids, mask.to(base.device)), generation_config=config)
    module.train(was_training)
    return [(_text(base, row, stops), bool(stops & set(row))) for row in found.tolist()]


def _text(base: Base, ids: Sequence[int], stops: set[int]) -> str:
    end = next((i for i, token in enumerate(ids) if token in stops), len(ids))
    control = base.loaded.words.tokenizer.control_ids
    plain = [token for token in ids[:end] if token not in control]
    return base.loaded.words.tokenizer.decode(plain).rstrip("�")
