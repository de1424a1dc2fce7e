"""Which base model this computer gets, with which engine, and bringing it here.

Sizes come from the model's shape where it is known, or from the files once they are on disk.
Nothing is loaded that would not fit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from javis.core.errors import EngineError
from javis.core.sentence import Sentence
from javis.core.settings import Settings
from javis.engine.convert import dense_copy, dense_path, requantize
from javis.engine.fetch import (
    EMBEDDED,
    EMBEDDED_FILE,
    Say,
    embedded_path,
    fetch_embedded,
    fetch_hub,
    hub_reachable,
)
from javis.engine.gguf_header import read_header
from javis.engine.hardware import Hardware, detect
from javis.engine.models import (
    ALLOWANCE,
    AUTO,
    DEFAULT_CONTEXT,
    MODELS,
    BaseModel,
    find,
    table,
)

__all__ = [
    "EMBEDDED",
    "MODELS",
    "BaseModel",
    "Choice",
    "dense_copy",
    "fetch_embedded",
    "fetch_hub",
    "find",
    "obtain",
    "prepare_embedded",
    "requantize",
    "resolve",
    "table",
]

EngineName = Literal["llamacpp", "transformers"]
_BITS = {"4bit": 4, "8bit": 8, "16bit": 16, "32bit": 32}
_PLACES = (16, 8, 4)
"""Answers of llama.cpp at the same time: as many as their conversations leave room for."""
_PLACES_BYTES = 2 << 30
"""What these conversations may take, and with the weights at most half of the free memory."""
_EMBEDDED_KINDS = {"auto": "Q8_0", "4bit": None, "8bit": "Q8_0"}
"""docs/quantization.md says why."""
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_FASTEST = Sentence("fastest", "llama.cpp is the fastest engine on a processor.")
_QUANTIZED = re.compile(r"[.-](I?Q\d\w*|B?F16|F32)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Choice:
    """What is going to be loaded, and why."""

    model: BaseModel
    engine: EngineName
    quantization: str
    """For transformers 4bit, 8bit, 16bit or 32bit; for llama.cpp the same, or `file`."""
    device: Literal["cpu", "cuda"]
    path: Path
    """The GGUF file or folder that is or will be loaded."""
    hub_id: str | None
    """What is fetched first when `path` is not there."""
    pattern: str | None
    """The GGUF files of that repository; None: its transformers files."""
    need_bytes: int
    """Memory it takes; 0 when it cannot be said before it is on disk."""
    why: list[Sentence]
    parallel: int = 0
    """Answers at the same time; 0 leaves it to the engine."""


def resolve(
    settings: Settings,
    hardware: Hardware,
    reachable: Callable[[], bool] = hub_reachable,
) -> Choice:
    """Pick model, engine and precision for this computer; the settings have the last word.

    Raises EngineError, before anything is loaded, when what was asked for does not fit, cannot
    be had, or does not exist.
    """
    resolver = _Resolver(settings, hardware, reachable)
    choice = resolver.automatic() if settings.model == "auto" else resolver.named(settings.model)
    resolver.require_room(choice)
    return choice


def obtain(choice: Choice, settings: Settings, say: Say) -> Path:
    """The file or folder to load, fetched or converted first when it is not there.

    Raises EngineError, also for a model of unknown size that turns out too large for this computer.
    """
    if (
        choice.model.id == EMBEDDED
        and choice.path.parent == embedded_path(settings.models_dir).parent
    ):
        source = fetch_embedded(settings.models_dir, say, offline=settings.offline)
        if choice.path == source:
            return source
        if choice.engine == "llamacpp":
            try:
                return _in_eight_bits(source, say)
            except EngineError as error:
                if settings.quantization != "auto":
                    raise
                say(f"{error} The file as it came answers instead, more slowly.")
                return source
    if choice.path.suffix == ".dense":
        source = choice.path.with_suffix(".gguf")
        if not choice.path.exists():
            say(f"Decoding {source.name} for transformers (once, about 20 s) …")
        return dense_copy(source, choice.path)
    folder = choice.path.parent if choice.pattern else choice.path
    if choice.hub_id and not folder.exists():
        if settings.offline:
            raise _offline(choice.hub_id)
        fetch_hub(choice.hub_id, folder, say, pattern=choice.pattern)
        if not choice.need_bytes:
            # Only now its size is known; loading what does not fit would stall the computer.
            resolve(settings, detect())
    if choice.pattern:
        return _first_gguf(choice.path.parent, choice.pattern)
    return choice.path


def prepare_embedded(models_dir: Path, say: Say) -> Path:
    """The embedded model as llama.cpp serves it, so that later starts need neither network nor
    time for it."""
    return _in_eight_bits(fetch_embedded(models_dir, say), say)


def _in_eight_bits(source: Path, say: Say) -> Path:
    path = _embedded_form(source, "Q8_0")
    if not path.exists():
        say("Writing the model with 8 bits, which processors read faster (once, about 4 s) …")
    return requantize(source, path, "Q8_0")


def _embedded_form(source: Path, kind: str) -> Path:
    return source.with_name(EMBEDDED_FILE.replace("Q4_1", kind))


def _first_gguf(folder: Path, pattern: str) -> Path:
    files = sorted(folder.glob(pattern))
    if not files:
        raise EngineError("no_model_file", "There is no {p} in {f}.", p=pattern, f=folder)
    return files[0]


def _offline(hub_id: str) -> EngineError:
    return EngineError(
        "model_offline",
        "{model} is not on this computer and JAVIS_OFFLINE forbids fetching it.",
        model=hub_id,
    )


class _Resolver:
    """One decision: settings, hardware, and whether the hub answered (asked at most once)."""

    def __init__(
        self, settings: Settings, hardware: Hardware, reachable: Callable[[], bool]
    ) -> None:
        self._settings = settings
        self._hardware = hardware
        self._ask = reachable
        self._answer: bool | None = False if settings.offline else None
        self._base = settings.models_dir / "base"

    def automatic(self) -> Choice:
        settings, hardware = self._settings, self._hardware
        if settings.engine == "llamacpp" or not hardware.has_cuda:
            return self._embedded([self._why_embedded()])
        quantization = "4bit" if settings.quantization == "auto" else settings.quantization
        for name in AUTO:
            model = find(name)
            if model is None or not self._fits(model, quantization):
                continue
            if self._on_disk(model) or self._reachable():
                best = Sentence(
                    "best_that_fits",
                    "{gpu} has {free} GB free: {model} is the best known model that fits with "
                    "{precision}.",
                    gpu=hardware.gpu,
                    free=_gb(hardware.vram_free),
                    model=model.title,
                    precision=quantization,
                )
                return self._transformers(model, self._base / model.id, model.hub_id, [best])
        if self._reachable():
            reason = Sentence(
                "small_card",
                "{gpu} has too little free memory for a larger model.",
                gpu=hardware.gpu,
            )
        else:
            reason = Sentence(
                "no_larger",
                "No larger model is on this computer and the Hugging Face hub is not reachable.",
            )
        return self._embedded([reason])

    def named(self, name: str) -> Choice:
        path = Path(name).expanduser()
        if path.suffix.lower() == ".gguf":
            return self._gguf_file(path)
        if (path / "config.json").is_file():
            model = find(path.name) or _unknown(str(path), path.name)
            return self._transformers(model, path, None, [_asked_for(path)])
        known = find(name)
        if known and known.id == EMBEDDED:
            return self._embedded([_asked_for(known.title)])
        if known is None and not _HUB_ID.fullmatch(name):
            raise EngineError(
                "unknown_model",
                "'{name}' is no model JAVIS knows, no hub id, no folder with a config.json and no "
                "GGUF file. `javis models` lists the known ones.",
                name=name,
            )
        model = known or _unknown(name, name.split("/")[1])
        why = [_asked_for(model.title)]
        use_gguf = self._settings.engine == "llamacpp" or (
            self._settings.engine == "auto" and not self._hardware.has_cuda and model.gguf
        )
        if use_gguf:
            return self._hub_gguf(model, why)
        folder = self._base / (model.id if known else name.replace("/", "--"))
        return self._require_source(self._transformers(model, folder, model.hub_id, why))

    def require_room(self, choice: Choice) -> None:
        """Refuse, with the numbers, what does not fit into the memory that is free now."""
        free = self._free(choice.device)
        if choice.need_bytes <= free:
            return
        smaller = "" if choice.quantization == "4bit" else " A lower precision takes less."
        raise EngineError(
            "model_too_big",
            "{model} ({precision}) needs about {need} GB and {free} GB of {what} are free.{hint}",
            model=choice.model.title,
            precision=choice.quantization,
            need=_gb(choice.need_bytes),
            free=_gb(free),
            what="graphics memory" if choice.device == "cuda" else "memory",
            hint=smaller,
        )

    def _embedded(self, why: list[Sentence]) -> Choice:
        model = MODELS[0]
        source = embedded_path(self._settings.models_dir)
        wanted = self._settings.quantization
        by_transformers = self._settings.engine == "transformers"
        if by_transformers or (self._settings.engine == "auto" and wanted in ("16bit", "32bit")):
            return self._transformers(model, dense_path(source), None, why)
        if wanted not in _EMBEDDED_KINDS:
            raise EngineError(
                "precision_not_here",
                "llama.cpp serves the embedded model with 4 or 8 bits; {wanted} needs "
                "JAVIS_ENGINE=transformers.",
                wanted=wanted,
            )
        kind = _EMBEDDED_KINDS[wanted]
        path = source if kind is None else _embedded_form(source, kind)
        size = int((model.parameters or 0) * (8.5 if kind else 5.9) / 8)
        parallel, need = self._places(size, model.kv_bytes_per_token, model.context)
        return Choice(
            model=model,
            engine="llamacpp",
            quantization="8bit" if kind else "4bit",
            device="cpu",
            path=path,
            hub_id=None,
            pattern=None,
            need_bytes=need,
            why=[*why, _FASTEST],
            parallel=parallel,
        )

    def _gguf_file(self, path: Path) -> Choice:
        header = read_header(path)
        stem = _QUANTIZED.sub("", path.stem)
        model = find(stem) or BaseModel(
            id=stem,
            title=str(header.fields.get("general.name", path.stem)),
            hub_id="",
            licence=str(header.fields.get("general.license", "")),
            parameters=header.parameters,
            context=header.context_tokens or None,
        )
        why = [_asked_for(path)]
        if self._settings.engine == "transformers":
            return self._transformers(model, dense_path(path), None, why)
        parallel, need = self._places(
            path.stat().st_size, header.kv_bytes_per_token(), header.context_tokens
        )
        return Choice(model, "llamacpp", "file", "cpu", path, None, None, need, why, parallel)

    def _hub_gguf(self, model: BaseModel, why: list[Sentence]) -> Choice:
        if not model.gguf:
            raise EngineError(
                "no_gguf",
                "{model} has no official GGUF file for llama.cpp. Use JAVIS_ENGINE=transformers, "
                "or name a GGUF file.",
                model=model.title,
            )
        wanted = self._settings.quantization
        kind = wanted if wanted != "auto" else next(k for k in ("4bit", "8bit") if k in model.gguf)
        if kind not in model.gguf:
            raise EngineError(
                "precision_not_here",
                "{model} is published for llama.cpp as {kinds}, not {wanted}.",
                model=model.title,
                kinds=" and ".join(sorted(model.gguf)),
                wanted=kind,
            )
        repo, pattern, bits = model.gguf[kind]
        size = int((model.parameters or 0) * bits / 8)
        parallel, need = self._places(size, model.kv_bytes_per_token, model.context)
        return self._require_source(
            Choice(
                model=model,
                engine="llamacpp",
                quantization=kind,
                device="cpu",
                path=self._base / f"{model.id}-GGUF-{kind}" / pattern,
                hub_id=repo,
                pattern=pattern,
                need_bytes=need,
                why=[*why, _FASTEST],
                parallel=parallel,
            )
        )

    def _transformers(
        self, model: BaseModel, path: Path, hub_id: str | None, why: list[Sentence]
    ) -> Choice:
        device: Literal["cpu", "cuda"] = "cuda" if self._hardware.has_cuda else "cpu"
        wanted = self._settings.quantization
        kind = wanted if wanted != "auto" else ("4bit" if device == "cuda" else "32bit")
        if device == "cpu" and kind in ("4bit", "8bit"):
            slow = Sentence(
                "slow_precision",
                "{precision} in transformers is about five times slower on a processor.",
                precision=kind,
            )
            why = [*why, slow]
        shaped = model if model.layers else _shaped(model, path)
        context = min(self._settings.context or DEFAULT_CONTEXT, shaped.context or 1 << 20)
        known = shaped.parameters is not None
        if not shaped.layers:
            unknown = Sentence(
                "unknown_memory",
                "Its memory for long conversations is not known before it is loaded.",
            )
            why = [*why, unknown]
        need = shaped.need_bytes(_BITS[kind], context, device) if known else 0
        return Choice(shaped, "transformers", kind, device, path, hub_id, None, need, why)

    def _require_source(self, choice: Choice) -> Choice:
        """Refuse now what is neither on disk nor to be had, instead of after a long wait."""
        there = choice.path.parent if choice.pattern else choice.path
        if not there.exists() and choice.hub_id and not self._reachable():
            if self._settings.offline:
                raise _offline(choice.hub_id)
            raise EngineError(
                "no_hub",
                "{model} is not on this computer and the Hugging Face hub is not reachable.",
                model=choice.hub_id,
            )
        return choice

    def _places(self, weights: int, kv_per_token: int, most: int | None) -> tuple[int, int]:
        """How many answers llama.cpp gives at the same time, and the memory that takes."""
        context = min(self._settings.context or DEFAULT_CONTEXT, most or DEFAULT_CONTEXT)

        fixed = weights + ALLOWANCE["gguf"]
        most_bytes = min(_PLACES_BYTES, self._free("cpu") // 2 - fixed)
        # A header that does not say how large a conversation is gives 0: the fewest, then.
        fitting = (n for n in _PLACES if 0 < n * kv_per_token * context <= most_bytes)
        parallel = self._settings.parallel or next(fitting, _PLACES[-1])
        return parallel, fixed + parallel * kv_per_token * context

    def _fits(self, model: BaseModel, quantization: str) -> bool:
        shaped = _shaped(model, self._base / model.id)
        context = min(self._settings.context or DEFAULT_CONTEXT, shaped.context or 1 << 20)
        return shaped.need_bytes(_BITS[quantization], context) <= self._hardware.vram_free

    def _free(self, device: str) -> int:
        return self._hardware.vram_free if device == "cuda" else self._hardware.ram_available

    def _on_disk(self, model: BaseModel) -> bool:
        return (self._base / model.id / "config.json").is_file()

    def _reachable(self) -> bool:
        if self._answer is None:
            self._answer = self._ask()
        return self._answer

    def _why_embedded(self) -> Sentence:
        if self._settings.engine == "llamacpp":
            return Sentence(
                "llamacpp", "llama.cpp was asked for: the embedded model needs nothing else."
            )
        if self._hardware.gpu and not self._hardware.cuda_build:
            return Sentence(
                "torch_without_cuda",
                "{gpu} is there, but the installed torch cannot use CUDA: the embedded model "
                "runs on the processor.",
                gpu=self._hardware.gpu,
            )
        return Sentence(
            "no_card", "No CUDA card was found: the embedded model runs on any computer."
        )


def _asked_for(what: object) -> Sentence:
    return Sentence("asked_for", "{what} was asked for.", what=what)


def _unknown(hub_id: str, name: str) -> BaseModel:
    return BaseModel(id=name, title=name, hub_id=hub_id, licence="")


def _shaped(model: BaseModel, folder: Path) -> BaseModel:
    """The model with what its config.json and weights on disk say, where they are there."""
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        heads = int(config["num_attention_heads"])
        embedding = int(config["vocab_size"]) * int(config["hidden_size"])
        weights = sum(f.stat().st_size for f in folder.glob("*.safetensors"))
        kind = str(config.get("dtype") or config.get("torch_dtype") or "float32")
        width: float = 4 if kind == "float32" else 2
        if quantized := config.get("quantization_config"):
            width = 1 if quantized.get("load_in_8bit") else 0.5
        return replace(
            model,
            parameters=int(weights / width) or model.parameters,
            context=int(config["max_position_embeddings"]),
            layers=int(config["num_hidden_layers"]),
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_size=int(config.get("head_dim") or int(config["hidden_size"]) // heads),
            embedding=embedding * (1 if config.get("tie_word_embeddings") else 2),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return model  # Not on disk yet, or of a shape unknown here: loading it will say more.


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f}"
