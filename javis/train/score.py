"""How well a model knows the held-out answers: the loss of each, for base, current, candidate.

All are computed in the same precision, with the same padding, so that only the adapter differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from javis.core.types import Version
from javis.engine.adapters import AdapterBank
from javis.train.base import Base
from javis.train.data import Encoded

_BATCH_TOKENS = 2048
_CHUNK = 256


@dataclass(frozen=True, slots=True)
class Reader:
    """Something that reads text: a causal model, perhaps with a learned prompt before it."""

    base: Base
    module: Any
    """A transformers model, without PEFT around it."""
    prompt: Any = None
    """(virtual tokens, hidden size)"""
    exact: bool = True
    """The output layer with 32 bits, also where all else is 16: logits of 20 come in steps of an
    eighth there."""

    def losses(self, rows: Sequence[Encoded]) -> list[float]:
        """Negative log-likelihood of each answer, summed over its tokens, in nats."""
        found = [0.0] * len(rows)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for batch in _batches(order, [len(row) for row in rows]):
            for index, loss in zip(batch, self._losses([rows[i] for i in batch]), strict=True):
                found[index] = loss
        return found

    def _losses(self, rows: Sequence[Encoded]) -> list[float]:
        import torch  # heavy

        width = max(map(len, rows))
        ids = torch.full((len(rows), width), self.base.pad_id)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row.ids)
            mask[number, : len(row)] = 1
        hidden = self._hidden(ids.to(self.base.device), mask.to(self.base.device))
        begins = [len(row.prompt) - 1 for row in rows]
        states = torch.cat(
            [
                hidden[i, b : b + len(row.answer)]
                for i, (b, row) in enumerate(zip(begins, rows, strict=True))
            ]
        )
        labels = torch.tensor([token for row in rows for token in row.answer]).to(states.device)
        per_token = self._token_losses(states, labels)
        return [float(part.sum()) for part in per_token.split([len(row.answer) for row in rows])]

    def embed(self, ids: Any, mask: Any) -> dict[str, Any]:
        """Words as the model takes them, the learned prompt before them."""
        import torch  # heavy

        words = self.module.get_input_embeddings()(ids)
        if self.prompt is None:
            return {"inputs_embeds": words, "attention_mask": mask}
        virtual = self.prompt.to(words)[None].expand(len(ids), -1, -1)
        ones = mask.new_ones(len(ids), virtual.shape[1])
        return {
            "inputs_embeds": torch.cat([virtual, words], 1),
            "attention_mask": torch.cat([ones, mask], 1),
        }

    def _hidden(self, ids: Any, mask: Any) -> Any:
        import torch  # heavy

        with torch.inference_mode(), self.base.autocast():
            read = self.module.base_model(**self.embed(ids, mask), use_cache=False)
        return read.last_hidden_state[:, -ids.shape[1] :]

    def _token_losses(self, states: Any, labels: Any) -> Any:
        import torch  # heavy

        head = self.module.get_output_embeddings()
        linear: Any = head
        found = []
        with torch.inference_mode(), self.base.autocast():
            if self.exact and head.weight.is_floating_point():
                weight = head.weight.float()
                bias = None if head.bias is None else head.bias.float()
                linear = _exactly(weight, bias)
            for start in range(0, len(labels), _CHUNK):
                logits = linear(states[start : start + _CHUNK]).float()
                label = labels[start : start + _CHUNK]
                found.append(torch.nn.functional.cross_entropy(logits, label, reduction="none"))
        return torch.cat(found)


def _exactly(weight: Any, bias: Any) -> Any:
    import torch  # heavy

    def linear(states: Any) -> Any:
        with torch.autocast(states.device.type, enabled=False):
            return torch.nn.functional.linear(states.float(), weight, bias)

    return linear


def _batches(order: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Cut rows, sorted by length, into batches of a bounded number of padded tokens."""
    batches: list[list[int]] = []
    for index in order:
        widest = lengths[index]
        if batches and (len(batches[-1]) + 1) * widest <= _BATCH_TOKENS:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def base_reader(base: Base) -> Reader:
    """The base without any adapter."""
    return Reader(base, base.model)


def adapter_reader(base: Base, model: Any) -> Reader:
    """A PeftModel in training, as it is at this moment."""
    if not model.peft_config["default"].is_prompt_learning:
        return Reader(base, model.get_base_model())
    prompt = model.prompt_encoder["default"].embedding.weight.detach()
    return Reader(base, model.get_base_model(), prompt)


def saved_reader(base: Base, folder: Path, base_model: str) -> Reader:
    """A published adapter. Raises VersionError."""
    bank = AdapterBank(base.model, base_model, probe=base.template.encode([]) or [base.pad_id])
    version = Version(name="current", path=str(folder), base_model="", sha256=None)
    handle = bank.load(version)
    if handle.prompt is not None:
        return Reader(base, base.model, handle.prompt)
    return Reader(base, bank.activate(handle))
