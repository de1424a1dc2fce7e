"""The output layer over the trained tokens alone.

TRL 1.16 has one that leaves out what is not trained, but on processors it scores every position,
twice. With a vocabulary of 49,152 words that is a fifth of the work of the embedded model. Here
the gradient is made along with the value, as the output layer itself is never trained:
d log p(y) / dh = W[y] - sum over v of p(v) W[v]. No logits are kept.
"""

from __future__ import annotations

import functools
import types
from typing import Any

import torch
from trl.trainer.utils import FusedCausalLMOutput

_CHUNK = 256
_SPECIAL = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "lm_head_multiplier",
    "output_multiplier",
    "output_router_logits",
)
"""Models that change their logits after the output layer stay with TRL's own."""


class _LogProbs(torch.autograd.Function):  # type: ignore[misc]
    """Log-probability of each label; (n, hidden), (vocabulary, hidden), (n,) -> (n,) and top-1."""

    @staticmethod
    def forward(ctx: Any, hidden: Any, weight: Any, labels: Any) -> tuple[Any, Any]:
        needs_gradient = ctx.needs_input_grad[0]
        found, top, slopes = [], [], []
        for start in range(0, len(hidden), _CHUNK):
            label = labels[start : start + _CHUNK, None]
            logits = torch.nn.functional.linear(hidden[start : start + _CHUNK], weight).float()
            top.append(logits.argmax(-1) == label[:, 0])
            logits -= logits.logsumexp(-1, keepdim=True)
            found.append(logits.gather(1, label)[:, 0])
            if needs_gradient:
                spread = logits.exp_()
                spread.scatter_add_(1, label, torch.full_like(label, -1.0, dtype=spread.dtype))
                slopes.append(torch.mm(spread.to(weight.dtype), weight).neg_())
        if needs_gradient:
            ctx.save_for_backward(torch.cat(slopes) if slopes else hidden.new_zeros(hidden.shape))
        ctx.dtype = hidden.dtype
        empty = hidden.new_zeros(0, dtype=torch.float32)
        right = torch.cat(top) if top else empty.bool()
        ctx.mark_non_differentiable(right)
        return (torch.cat(found) if found else empty), right

    @staticmethod
    def backward(ctx: Any, gradient: Any, _: Any) -> tuple[Any, None, None]:
        (slope,) = ctx.saved_tensors
        return (gradient[:, None] * slope).to(ctx.dtype), None, None


def log_probs(hidden: Any, weight: Any, labels: Any) -> Any:
    """Log-probability of `labels` (n,) after `hidden` (n, hidden), with a gradient to `hidden`."""
    return _LogProbs.apply(hidden, weight, labels)[0]


def add_compact_head(model: Any) -> bool:
    """Put this head in the place of the one that TRL's trainers gave to `model`.

    False, and nothing changed, for a model whose logits are not plainly hidden state times
    weights, or whose output layer is trained or packed.
    """
    head = model.get_output_embeddings()
    config = model.config.get_text_config()
    plain = isinstance(head, torch.nn.Linear) and head.bias is None
    if not plain or head.weight.requires_grad or not head.weight.is_floating_point():
        return False
    if any(getattr(config, name, None) for name in _SPECIAL):
        return False
    original = type(model).forward

    @functools.wraps(original)
    def forward(
        self: Any, *args: Any, fused_lm_head: bool = False, labels: Any = None, **kwargs: Any
    ) -> Any:
        if not fused_lm_head:
            return original(self, *args, labels=labels, **kwargs)
        kwargs["use_cache"] = False
        hidden = self.base_model(*args, **kwargs).last_hidden_state[:, :-1]
        labels = labels[:, 1:]
        mask = labels != -100
        values, right = _LogProbs.apply(hidden[mask], head.weight, labels[mask])
        zeros = torch.zeros(mask.shape, dtype=torch.float32, device=hidden.device)
        found = zeros.masked_scatter(mask, values)
        return FusedCausalLMOutput(
            loss=-found.sum() / mask.sum().clamp(min=1),
            log_probs=found,
            # Only figures that TRL logs and nobody here shows.
            entropy=zeros,
            mean_logits=zeros,
            is_top1=torch.zeros_like(mask).masked_scatter(mask, right),
            label_mask=mask,
        )

    model.forward = types.MethodType(forward, model)
    return True
