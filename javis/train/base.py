"""The base model of a run, in memory, and the adapter laid over it."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from javis.core.errors import TrainError
from javis.core.learning import Method
from javis.engine.adapters import share_layers
from javis.engine.hf_model import Loaded, load
from javis.engine.template import ChatTemplate
from javis.train.config import Hyperparameters, TrainConfig

if TYPE_CHECKING:
    import torch

_IA3 = ["k_proj", "v_proj", "down_proj"]
_IA3_FEED_FORWARD = ["down_proj"]
_SHORT_TOKENS = 256
"""Rows up to which attention is written out on processors with fast 16-bit arithmetic: the
backward pass of torch's fused one took a quarter of a whole step there. What is written out needs
memory by the square of the length."""


@dataclass(frozen=True, slots=True)
class Base:
    """A loaded base model. Adapters never touch it: they get containers of their own."""

    loaded: Loaded
    template: ChatTemplate
    device: str
    half: bool
    """Whether matrices are multiplied with 16 bits."""
    pad_id: int

    @property
    def model(self) -> Any:
        return self.loaded.model

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision that everything is computed in: training, scores and samples."""
        import torch  # heavy

        if not self.half:
            return contextlib.nullcontext()
        context: AbstractContextManager[Any] = torch.autocast(self.device, dtype=self.dtype)
        return context

    @property
    def dtype(self) -> torch.dtype:
        import torch  # heavy

        if not self.half:
            return torch.float32
        no_bf16 = self.device == "cuda" and not torch.cuda.is_bf16_supported()
        return torch.float16 if no_bf16 else torch.bfloat16


def load_base(config: TrainConfig) -> Base:
    """Load the base of a run. Raises EngineError or TrainError."""
    quantization = precision(config)
    loaded = load(_folder(config.base_path), quantization, config.device)
    model = loaded.model
    _keep_unpacked(model)
    pad = model.config.pad_token_id
    known = isinstance(pad, int) and 0 <= pad < model.get_input_embeddings().num_embeddings
    return Base(
        loaded,
        loaded.words.template(),
        config.device,
        half=quantization != "32bit" and not (quantization == "4bit" and config.device == "cpu"),
        pad_id=int(pad) if known else min(loaded.eos_ids, default=0),
    )


def suit_rows(base: Base, longest: int) -> None:
    """Choose the attention for rows of so many tokens. Before an adapter is added."""
    if base.device == "cpu" and base.half and longest <= _SHORT_TOKENS:
        base.model.set_attn_implementation("eager")


def precision(config: TrainConfig) -> str:
    """4bit, 8bit, 16bit or 32bit."""
    if config.method == "sft-qlora":
        return "4bit"
    if config.quantization != "auto":
        return config.quantization
    if config.device == "cuda":
        return "16bit"
    return "16bit" if has_fast_half() else "32bit"


def has_fast_half() -> bool:
    """Whether this processor multiplies 16-bit matrices in hardware.

    Without it a step with bfloat16 takes more than twice as long as with 32 bits; with it about
    half as long (docs/training.md).
    """
    import torch  # heavy

    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in probes)


def _folder(base_path: str) -> Path:
    if Path(base_path).is_dir():
        return Path(base_path)
    from huggingface_hub import snapshot_download  # heavy
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(base_path, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        raise TrainError(
            "train_no_base", "The base model's weights are not at {path}.", path=base_path
        ) from None


def _keep_unpacked(model: Any) -> None:
    """Keep 4-bit layers as they are trained on.

    On processors with AVX512-BF16 bitsandbytes repacks a layer the first time it only reads, into
    a form without a gradient: a run that scores before it trains would learn nothing, silently.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def load_tokenizer(config: TrainConfig) -> Any:
    """transformers' tokenizer of the base, which TRL's trainers ask for and nothing here uses."""
    from transformers import AutoTokenizer  # heavy

    tokenizer: Any = AutoTokenizer.from_pretrained(
        _folder(config.base_path), local_files_only=True, trust_remote_code=False
    )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def peft_config(method: Method, hyper: Hyperparameters) -> Any:
    """What PEFT is told of an adapter."""
    from peft import IA3Config, LoraConfig, PromptTuningConfig  # heavy

    if method == "prompt-tuning":
        return PromptTuningConfig(
            num_virtual_tokens=hyper.virtual_tokens,
            prompt_tuning_init="SAMPLE_VOCAB",
            task_type="CAUSAL_LM",
        )
    if method == "ia3":
        return IA3Config(
            target_modules=_IA3, feedforward_modules=_IA3_FEED_FORWARD, task_type="CAUSAL_LM"
        )
    targets = hyper.target_modules
    return LoraConfig(
        r=hyper.rank,
        lora_alpha=_plain(hyper.alpha),
        lora_dropout=hyper.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )


def _plain(alpha: float) -> Any:
    return int(alpha) if alpha == int(alpha) else alpha


def add_adapter(base: Base, method: Method, hyper: Hyperparameters, seed: int) -> Any:
    """A PeftModel with a new adapter, over the layers of the base; only the adapter learns."""
    import warnings

    import torch  # heavy
    from peft import get_peft_model

    torch.manual_seed(seed)
    with warnings.catch_warnings():
        # PEFT asks transformers for a property under its old name.
        warnings.simplefilter("ignore", FutureWarning)
        model = get_peft_model(share_layers(base.model), peft_config(method, hyper))
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if base.half:
        from javis.train.lora import add_before_rounding  # heavy

        for module in model.modules():
            if hasattr(module, "cast_input_dtype_enabled"):
                # Else each layer makes its input wider, for autocast to make it narrow again.
                module.cast_input_dtype_enabled = False
        add_before_rounding(model)
    return model
