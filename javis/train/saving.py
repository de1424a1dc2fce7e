"""An adapter as the two files that every reader of PEFT adapters knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from javis.engine.adapter import CONFIG, WEIGHTS, check_adapter, check_finite
from javis.engine.files import fsync_dir, fsync_file


def adapter_tensors(model: Any) -> dict[str, Any]:
    """The trained weights of a PeftModel under PEFT's names.

    Not by PEFT's get_peft_model_state_dict: it calls state_dict() on the whole model, which on
    processors with AVX512-BF16 makes bitsandbytes round the scales of a 4-bit base anew.
    """
    return {name: p.detach().cpu().contiguous() for name, p in _parameters(model).items()}


def fill_adapter(model: Any, tensors: dict[str, Any]) -> None:
    """Put saved weights back; each must find its place. Raises ValueError."""
    import torch  # heavy

    own = _parameters(model)
    if set(own) != set(tensors):
        raise ValueError("the saved adapter has other weights")
    with torch.no_grad():
        for name, parameter in own.items():
            if parameter.shape != tensors[name].shape:
                raise ValueError(f"the weights of {name} do not match")
            parameter.copy_(tensors[name])


def _parameters(model: Any) -> dict[str, Any]:
    if model.peft_config["default"].is_prompt_learning:
        return {"prompt_embeddings": model.prompt_encoder["default"].embedding.weight}
    named = model.named_parameters()
    return {name.replace(".default", ""): p for name, p in named if p.requires_grad}


def save_adapter(model: Any, folder: Path, base_model: str) -> None:
    """Write `adapter_config.json` and `adapter_model.safetensors`, and sync them.

    `base_model` is the base's name: vLLM serves an adapter only on the base it names, and a path
    of this computer means nothing elsewhere.
    """
    from safetensors.torch import save_file  # heavy: torch

    folder.mkdir(parents=True, exist_ok=True)
    save_file(adapter_tensors(model), folder / WEIGHTS, metadata={"format": "pt"})
    config = model.peft_config["default"].to_dict()
    config |= {"base_model_name_or_path": base_model, "inference_mode": True}
    plain = {key: _json(value) for key, value in config.items() if _known(value)}
    (folder / CONFIG).write_text(json.dumps(plain, indent=2, sort_keys=True), "utf-8")
    for path in (folder / WEIGHTS, folder / CONFIG):
        fsync_file(path)
    fsync_dir(folder)


def check_saved(folder: Path) -> None:
    """Hold a saved adapter against the rules for every adapter. Raises VersionError."""
    adapter = check_adapter(folder)
    check_finite(adapter.weights, adapter.tensors)


def load_tensors(folder: Path) -> dict[str, Any]:
    """The weights that `save_adapter` wrote."""
    from safetensors.torch import load_file  # heavy: torch

    return dict(load_file(folder / WEIGHTS))


def _known(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, bool, list, tuple, set, dict))


def _json(value: Any) -> Any:
    if isinstance(value, set):
        return sorted(value)
    # Enums of PEFT are texts too.
    return getattr(value, "value", value)
