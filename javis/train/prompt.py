"""Prompt tuning (Lester et al., 2021) and IA3 (Liu et al., 2022): very small adapters.

A learned prompt before every conversation, or a factor for each key, value and inner activation.
Both learn by the loss of the good answers, so the trainer is that of SFT. llama.cpp cannot serve
them; the transformers engine does.
"""

from __future__ import annotations

from javis.train.sft import trainer

__all__ = ["trainer"]
