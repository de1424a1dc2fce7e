"""Loading a transformers folder: nothing in it is executed, nothing is fetched.

`trust_remote_code=False` alone was not enough four times in one year (CVE-2026-4372, -5241,
PEFT #3085, CVE-2026-68770), so config.json is held against a list of refused keys first.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from javis.core.errors import EngineError
from javis.engine.kormo import MODEL_TYPE, RENAMED, kormo_classes
from javis.engine.template import ChatTemplate, is_marker, remember_short
from javis.engine.waiting import let_threads_rest

_CONFIG_BYTES = 1 << 20
_MAX_DEPTH = 12


@dataclass(frozen=True, slots=True)
class Words:
    """How a model's text becomes tokens and back."""

    tokenizer: HfTokenizer
    chat_template: str
    bos_token: str
    eos_token: str
    eos_id: int | None

    def template(self) -> ChatTemplate:
        return ChatTemplate(self.chat_template, self.tokenizer, self.bos_token, self.eos_token)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory with what is needed to talk to it."""

    model: Any
    words: Words
    eos_ids: frozenset[int]
    context_tokens: int
    precision: str
    """`nf4`, `int8`, `bfloat16`, `float16` or `float32`."""


def prepare_process() -> None:
    """Settings that only count before torch is first imported."""
    let_threads_rest()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def check_folder(folder: Path) -> dict[str, Any]:
    """The config.json of a model folder, once nothing in it could run code. Raises EngineError."""
    path = folder / "config.json"
    try:
        if path.stat().st_size > _CONFIG_BYTES:
            raise _refuse(folder, "its config.json is too large")
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise _refuse(folder, "it has no config.json") from None
    except (OSError, ValueError, RecursionError):
        raise _refuse(folder, "its config.json cannot be read") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise _refuse(folder, "its config.json does not say the kind of model")
    if key := _unsafe_key(config, 0):
        raise _refuse(folder, f"its config.json holds '{key}', which could run code")
    if not any(folder.glob("*.safetensors")):
        raise _refuse(folder, "it has no weights as safetensors; other forms can run code")
    quantized = config.get("quantization_config")
    if quantized and (
        not isinstance(quantized, dict) or quantized.get("quant_method") != "bitsandbytes"
    ):
        raise _refuse(folder, "it is quantized in a way that JAVIS does not load")
    return config


def _refuse(folder: Path, why: str) -> EngineError:
    return EngineError(
        "model_refused", "The model in {folder} cannot be used: {why}.", folder=folder, why=why
    )


def _unsafe_key(value: Any, depth: int) -> str | None:
    """The first key, at any depth, that a library could take for something to run or fetch."""
    if depth > _MAX_DEPTH:
        return "too many levels"
    if isinstance(value, dict):
        for key, inner in value.items():
            if str(key).endswith("_internal") or key in ("trust_remote_code", "code_revision"):
                return str(key)[:60]
            if found := _unsafe_key(inner, depth + 1):
                return found
    if isinstance(value, list):
        return next((f for item in value if (f := _unsafe_key(item, depth + 1))), None)
    return None


def load(folder: Path, quantization: str, device: str) -> Loaded:
    """Load a model folder as `4bit`, `8bit`, `16bit` or `32bit` on `cpu` or `cuda`.

    Raises EngineError for a folder that is refused or damaged, or without room.
    """
    config = check_folder(folder)
    prepare_process()
    import torch  # heavy
    import transformers
    from safetensors import SafetensorError

    transformers.logging.disable_progress_bar()
    words = _words(folder)
    try:
        model, precision = _load_model(folder, config, quantization, device)
    except (torch.OutOfMemoryError, MemoryError):
        raise EngineError(
            "out_of_memory", "There is not enough memory to load this model."
        ) from None
    except (
        *(OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError, SafetensorError),
        AttributeError,  # of a config that holds another where transformers expects none
    ) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _refuse(folder, reason.rstrip(".")) from error
    return Loaded(
        model=model,
        words=words,
        eos_ids=_eos_ids(model, words.eos_id),
        context_tokens=int(getattr(model.config, "max_position_embeddings", 4096)),
        precision=precision,
    )


def read_words(folder: Path) -> Words:
    """A model folder's tokenizer and chat template, without its weights. EngineError."""
    check_folder(folder)
    return _words(folder)


def _words(folder: Path) -> Words:
    """Of a folder that was checked."""
    from transformers import AutoTokenizer  # heavy

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError) as error:
        raise _refuse(folder, "its tokenizer cannot be read") from error
    return Words(
        tokenizer=HfTokenizer(tokenizer),
        chat_template=_chat_template(tokenizer, folder),
        bos_token=tokenizer.bos_token or "",
        eos_token=tokenizer.eos_token or "",
        eos_id=tokenizer.eos_token_id,
    )


def _chat_template(tokenizer: Any, folder: Path) -> str:
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if not template:
        raise _refuse(folder, "it has no chat template: it is not a chat model")
    return str(template)


def _load_model(
    folder: Path, config: Mapping[str, Any], quantization: str, device: str
) -> tuple[Any, str]:
    import transformers  # heavy

    if config["model_type"] == MODEL_TYPE:
        config_class, model_class = kormo_classes()
        extra: dict[str, Any] = {"key_mapping": RENAMED}
    elif config["model_type"] in transformers.CONFIG_MAPPING:
        config_class, model_class = transformers.AutoConfig, transformers.AutoModelForCausalLM
        extra = {}
    else:
        raise _refuse(folder, f"JAVIS does not know models of the kind {config['model_type']!r}")
    precision, options = _precision(quantization, device)
    local = {"local_files_only": True, "trust_remote_code": False}
    model: Any = model_class.from_pretrained(
        folder,
        config=config_class.from_pretrained(folder, **local),
        use_safetensors=True,
        device_map={"": device},
        # Not from the config: there it could name a kernel to be fetched.
        attn_implementation="sdpa",
        **(
            local
            if model_class is transformers.AutoModelForCausalLM
            else {"local_files_only": True}
        ),
        **options,
        **extra,
    )
    model.requires_grad_(requires_grad=False)
    return model.eval(), precision


def _precision(quantization: str, device: str) -> tuple[str, dict[str, Any]]:
    """(name, from_pretrained options) of a precision."""
    import torch  # heavy
    from transformers import BitsAndBytesConfig

    half = torch.bfloat16
    if device != "cpu" and not torch.cuda.is_bf16_supported():
        half = torch.float16
    if quantization == "32bit":
        return "float32", {"dtype": torch.float32}
    if quantization == "16bit":
        return str(half).removeprefix("torch."), {"dtype": half}
    # Without AVX512-BF16 a processor is several times slower with 16-bit arithmetic.
    compute = torch.float32 if device == "cpu" else half
    if quantization == "8bit":
        # It would write a line to the log for every layer of every token.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        bits = BitsAndBytesConfig(load_in_8bit=True)
        return "int8", {"dtype": compute, "quantization_config": bits}
    bits = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )
    return "nf4", {"dtype": compute, "quantization_config": bits}


def _eos_ids(model: Any, eos_id: int | None) -> frozenset[int]:
    configured = model.generation_config.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(i for i in (*ids, eos_id) if isinstance(i, int))


class HfTokenizer:
    """A fast tokenizer that never finds a control token in plain text. Safe from any thread."""

    def __init__(self, tokenizer: Any) -> None:
        from tokenizers import Tokenizer  # heavy: native

        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise EngineError("no_fast_tokenizer", "This model has no fast tokenizer.")
        added = tokenizer.added_tokens_decoder.items()
        self.control_tokens: Mapping[str, int] = {
            t.content: i for i, t in added if t.special or is_marker(t.content)
        }
        self.control_ids = frozenset(self.control_tokens.values())
        self.size = len(tokenizer)
        self._decoder = backend
        # Without its control tokens and its post-processor it knows nothing but plain text.
        plain = json.loads(backend.to_str())
        plain["post_processor"] = None
        plain["added_tokens"] = [
            t for t in plain["added_tokens"] if t["content"] not in self.control_tokens
        ]
        plain["truncation"] = plain["padding"] = None
        self._plain = Tokenizer.from_str(json.dumps(plain))
        self._cached = remember_short(self._encode)

    def encode_text(self, text: str) -> list[int]:
        return list(self._cached(text))

    def decode(self, ids: list[int]) -> str:
        """Text of ids that hold no control token; bytes of half a character become U+FFFD."""
        return str(self._decoder.decode(ids, skip_special_tokens=False))

    def _encode(self, text: str) -> tuple[int, ...]:
        ids = tuple(self._plain.encode(text, add_special_tokens=False).ids)
        if self.control_ids.isdisjoint(ids):
            return ids
        # The vocabulary itself holds a control token (Unigram, `ignore_merges`): break it up.
        if len(text) == 1:
            return tuple(i for i in ids if i not in self.control_ids)
        middle = self._cut(text)
        return self._encode(text[:middle]) + self._encode(text[middle:])

    def _cut(self, text: str) -> int:
        for literal in self.control_tokens:
            start = text.find(literal)
            if start >= 0 and len(literal) > 1:
                return start + 1
        return len(text) // 2
