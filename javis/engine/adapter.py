"""Is this folder a PEFT adapter that is safe and whole? Decided without PEFT, before PEFT.

PEFT and transformers have run code named in a config file more than once (CVE-2026-4372, PEFT
#3085), and safetensors has no checksum. So the config is held against a closed list of keys, the
header is read with caps, and every number must be finite before a library sees the files.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from javis.core.errors import VersionError

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_CONFIG_BYTES = 1 << 18
_HEADER_BYTES = 10 << 20
_WEIGHT_BYTES = 8 << 30
_WIDTH = {"F32": 4, "F16": 2, "BF16": 2}
# Bits that are all set in the exponent of an infinity or a NaN.
_EXPONENT = {"F32": ("<u4", 0x7F800000), "F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80)}
_UNSAFE = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py", ".pyc", ".so", ".joblib"}
_NAME = re.compile(r"[A-Za-z0-9_.]{1,300}")


def broken(sentence: str, **values: object) -> VersionError:
    """The error for a folder that is no usable adapter."""
    return VersionError("version_damaged", sentence, **values)


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies in a safetensors file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    """First byte, counted from the start of the file."""
    end: int


@dataclass(frozen=True, slots=True)
class Adapter:
    """A checked adapter folder."""

    folder: Path
    peft_type: str
    config: Mapping[str, Any]
    """The config with known keys only."""
    tensors: Mapping[str, Tensor]

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS


def _empty(value: object) -> bool:
    return value is None or value is False or value in ({}, [])


def _text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 1_000_000


def _rank(value: object) -> bool:
    return _count(value) and isinstance(value, int) and value <= 4096


def _number(value: object) -> bool:
    # An integer of JSON may be too large for a float; comparing it is safe.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1e6


def _names(value: object) -> bool:
    # PEFT treats a bare string as a regular expression, which could run for ever.
    if not isinstance(value, list):
        return value in (None, "all-linear")
    return len(value) <= 20_000 and all(isinstance(v, str) and _NAME.fullmatch(v) for v in value)


def _pattern(value: object) -> bool:
    return isinstance(value, dict) and all(
        _NAME.fullmatch(key) and _number(number) for key, number in value.items()
    )


def _layers(value: object) -> bool:
    layers = value if isinstance(value, list) else [value]
    return value is None or all(isinstance(n, int) and 0 <= n < 10_000 for n in layers)


def _one_of(*choices: object) -> Callable[[object], bool]:
    return lambda value: any(value is c or (value == c and type(value) is type(c)) for c in choices)


_COMMON: dict[str, Callable[[object], bool]] = {
    "peft_type": _one_of("LORA", "IA3", "PROMPT_TUNING"),
    "task_type": _one_of("CAUSAL_LM", None),
    "peft_version": _text,
    "base_model_name_or_path": _text,  # Never followed.
    "revision": _text,
    "inference_mode": _flag,
    "auto_mapping": _empty,
    "modules_to_save": _names,
}
_LORA = (
    _COMMON
    | {
        "r": _rank,
        "lora_alpha": _number,
        "lora_dropout": _number,
        "use_rslora": _flag,
        "use_dora": _flag,
        "fan_in_fan_out": _flag,
        "bias": _one_of("none"),
        # Others change the weights of the base while loading.
        "init_lora_weights": _one_of(True, False, None, "gaussian"),
        "target_modules": _names,
        "exclude_modules": _names,
        "layers_pattern": _names,
        "layers_to_transform": _layers,
        "rank_pattern": _pattern,
        "alpha_pattern": _pattern,
        "megatron_core": _one_of("megatron.core", None),
        "qalora_group_size": _count,
    }
    | dict.fromkeys(
        (
            *("megatron_config", "alora_invocation_tokens", "arrow_config", "corda_config"),
            *(
                "ensure_weight_tying",
                "eva_config",
                "kasa_config",
                "layer_replication",
                "loftq_config",
            ),
            *("lora_bias", "lora_ga_config", "monteclora_config", "target_parameters"),
            *("trainable_token_indices", "use_bdlora", "use_qalora", "velora_config"),
        ),
        _empty,
    )
)
_IA3 = _COMMON | {
    "target_modules": _names,
    "exclude_modules": _names,
    "feedforward_modules": _names,
    "fan_in_fan_out": _flag,
    "init_ia3_weights": _flag,
}
_PROMPT = _COMMON | {
    "num_virtual_tokens": _rank,
    "token_dim": _count,
    "num_transformer_submodules": _one_of(1, None),
    "num_attention_heads": _count,
    "num_layers": _count,
    "prompt_tuning_init": _one_of("RANDOM", "TEXT", "SAMPLE_VOCAB"),
    "prompt_tuning_init_text": _text,
    "tokenizer_name_or_path": _text,  # Never followed.
    "tokenizer_kwargs": _empty,
}
_SCHEMA = {"LORA": _LORA, "IA3": _IA3, "PROMPT_TUNING": _PROMPT}
_NEEDED = {
    "LORA": ("r", "lora_alpha", "target_modules"),
    "IA3": ("target_modules",),
    "PROMPT_TUNING": ("num_virtual_tokens",),
}
_TENSOR = {
    "LORA": re.compile(
        r"base_model\.model\.[A-Za-z0-9_.]+\."
        r"(lora_A\.weight|lora_B\.weight|lora_embedding_A|lora_embedding_B|lora_magnitude_vector"
        r"|lora_magnitude_vector\.weight)"
    ),
    "IA3": re.compile(r"base_model\.model\.[A-Za-z0-9_.]+\.ia3_l"),
    "PROMPT_TUNING": re.compile(r"prompt_embeddings"),
}


def loads(text: bytes) -> Any:
    """JSON whose strings can all be written as UTF-8 again. Raises ValueError or RecursionError."""
    value = json.loads(text)
    if b"\\ud" in text.lower():
        # Half a pair of surrogates would break whatever shows or stores it later.
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def read_json(path: Path, limit: int = _CONFIG_BYTES) -> dict[str, Any]:
    """A JSON object from a file of at most `limit` bytes. Raises VersionError."""
    try:
        if path.stat().st_size > limit:
            raise broken("{name} is larger than {limit} bytes.", name=path.name, limit=limit)
        value = loads(path.read_bytes())
    except FileNotFoundError:
        raise broken("{name} is missing.", name=path.name) from None
    except OSError as error:
        raise broken("{name} cannot be read: {why}.", name=path.name, why=error.strerror) from error
    except (ValueError, RecursionError):
        raise broken("{name} is no valid JSON.", name=path.name) from None
    if not isinstance(value, dict):
        raise broken("{name} is no JSON object.", name=path.name)
    return value


def check_config(config: Mapping[str, Any]) -> str:
    """Hold an adapter config against the closed schema; returns its peft_type."""
    kind = config.get("peft_type")
    if not isinstance(kind, str) or kind not in _SCHEMA:
        raise broken(
            "Its method is {kind}; only LORA, IA3 and PROMPT_TUNING can be served.",
            kind=repr(kind)[:80],
        )
    schema = _SCHEMA[kind]
    for key, value in config.items():
        check = schema.get(key)
        if check is None:
            raise broken("adapter_config.json holds the unknown key '{key}'.", key=key[:80])
        if not check(value):
            raise broken("adapter_config.json has a value for '{key}' that is refused.", key=key)
    for key in _NEEDED[kind]:
        if config.get(key) in (None, []):
            raise broken("adapter_config.json does not say '{key}'.", key=key)
    return kind


def read_header(handle: IO[bytes], size: int) -> dict[str, Tensor]:
    """The tensors of a safetensors file of `size` bytes. Raises VersionError."""
    start = handle.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else -1
    if not 2 <= length <= min(_HEADER_BYTES, size - 8):
        raise broken("adapter_model.safetensors is cut off or no safetensors file.")
    try:
        header = loads(handle.read(length))
        header.pop("__metadata__", None)
        tensors = {name: _tensor(entry, 8 + length) for name, entry in header.items()}
    except (ValueError, RecursionError, AttributeError, TypeError, KeyError):
        raise broken("The header of adapter_model.safetensors is damaged.") from None
    end = 8 + length
    for tensor in sorted(tensors.values(), key=lambda t: t.start):
        if tensor.start != end:
            raise broken("The tensors of adapter_model.safetensors overlap or leave gaps.")
        end = tensor.end
    if end != size:
        raise broken("adapter_model.safetensors has {size} bytes, not {end}.", size=size, end=end)
    return tensors


def _tensor(entry: dict[str, Any], base: int) -> Tensor:
    dtype, shape = entry["dtype"], tuple(entry["shape"])
    start, end = entry["data_offsets"]
    if dtype not in _WIDTH:
        raise broken(
            "A tensor has the type {dtype}; F32, F16 and BF16 are known.", dtype=str(dtype)[:80]
        )
    if not all(type(n) is int and 0 < n < 1 << 31 for n in shape) or not 1 <= len(shape) <= 2:
        raise ValueError("shape")
    if not type(start) is type(end) is int or start < 0:
        raise ValueError("offsets")
    if end - start != math.prod(shape) * _WIDTH[dtype]:
        raise ValueError("size")
    return Tensor(dtype, shape, base + start, base + end)


def _check_lora(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    ranks = {int(config["r"]), *(int(r) for r in config.get("rank_pattern", {}).values())}
    for name, tensor in tensors.items():
        if not name.endswith("lora_A.weight"):
            continue
        partner = tensors.get(name.replace("lora_A", "lora_B"))
        shapes = [t.shape for t in (tensor, partner) if t]
        if [len(shape) for shape in shapes] != [2, 2] or shapes[1][1] != shapes[0][0]:
            raise broken("{name} has no matching half.", name=name)
        if tensor.shape[0] not in ranks:
            raise broken(
                "{name} has rank {rank}, which adapter_config.json does not name.",
                name=name,
                rank=tensor.shape[0],
            )
    halves = [sum(n.endswith(f"lora_{h}.weight") for n in tensors) for h in "AB"]
    if halves[0] != halves[1]:
        raise broken("adapter_model.safetensors holds half a LoRA.")


def check_tensors(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Names, pairs and shapes against the config. Raises VersionError."""
    kind = config["peft_type"]
    saved = tuple(config.get("modules_to_save") or ())
    if not tensors:
        raise broken("adapter_model.safetensors holds no weights.")
    for name in tensors:
        extra = _NAME.fullmatch(name) and any(f".{module}." in name for module in saved)
        if not _TENSOR[kind].fullmatch(name) and not extra:
            raise broken("adapter_model.safetensors holds the unknown tensor '{n}'.", n=name[:80])
    if kind == "LORA":
        _check_lora(config, tensors)
    if kind == "PROMPT_TUNING":
        # Absent where saved modules are all there is.
        prompt = tensors.get("prompt_embeddings")
        shape = prompt.shape if prompt else ()
        if len(shape) != 2 or shape[0] != config["num_virtual_tokens"]:
            raise broken("The prompt embeddings do not have the number of rows they should.")


def check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Every weight must be a finite number. Raises VersionError naming the tensor."""
    import numpy as np  # heavy

    data = np.memmap(path, dtype=np.uint8, mode="r")
    for name, tensor in tensors.items():
        kind, exponent = _EXPONENT[tensor.dtype]
        bits = data[tensor.start : tensor.end].view(kind)
        if bool(((bits & exponent) == exponent).any()):
            raise broken("The tensor {name} holds a value that is no number.", name=name)


def bare_sha256(weights_sha256: str, config: bytes) -> str:
    """What tells a bare adapter folder from others. Nothing holds its two files together as a
    manifest does: whoever edits the configuration has another adapter."""
    return hashlib.sha256(weights_sha256.encode() + config).hexdigest()


def check_adapter(folder: Path) -> Adapter:
    """Check config, file names, header, names and shapes (not the values) of an adapter folder.

    Raises VersionError with a plain sentence for the first thing that is wrong.
    """
    if not folder.is_dir():
        raise broken("The folder 'adapter' is missing.")
    for path in folder.rglob("*"):
        if path.suffix.lower() in _UNSAFE:
            raise broken("It holds {name}, a kind of file that can run code.", name=path.name)
    config = read_json(folder / CONFIG)
    kind = check_config(config)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise broken("{name} is missing.", name=WEIGHTS)
    size = weights.stat().st_size
    if size > _WEIGHT_BYTES:
        raise broken("{name} is larger than 8 GB.", name=WEIGHTS)
    with weights.open("rb") as handle:
        tensors = read_header(handle, size)
    check_tensors(config, tensors)
    return Adapter(folder, kind, config, tensors)
