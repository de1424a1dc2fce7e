"""The adapters of the transformers engine, loaded beside each other over one set of weights.

PEFT is not thread-safe (switching during an answer changes that answer without an error), so all
of this belongs to the engine's one thread. Each method has its own tree of containers over the
same layers: the base stays untouched, and methods that PEFT cannot mix live side by side.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import itertools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from javis.core.errors import VersionError
from javis.core.types import Version
from javis.engine.adapter import CONFIG, Adapter, bare_sha256, check_adapter
from javis.engine.models import made_for

if TYPE_CHECKING:
    import torch


class Handle:
    """An adapter in memory, or the base. Answers hold it; when none does it can be freed."""

    __slots__ = ("__weakref__", "kind", "name", "prompt")

    def __init__(self, name: str, kind: str = "", prompt: torch.Tensor | None = None) -> None:
        self.name = name
        """Unique in this engine, and free of dots as PEFT wants it; empty for the base."""
        self.kind = kind
        self.prompt = prompt
        """Virtual tokens before the prompt: (tokens, hidden size)."""


class AdapterBank:
    """Loads adapters and gives the module that answers with one of them."""

    def __init__(self, model: Any, model_id: str, probe: list[int]) -> None:
        self._model = model
        self._model_id = model_id
        self._probe = probe
        self._trees: dict[str, Any] = {}
        self._numbers = itertools.count(1)
        self.base = Handle("")
        self._base_logits = self._logits(self.base)

    def load(self, version: Version) -> Handle:
        """Load a version's adapter and prove that it works. Raises VersionError with the reason."""
        if not made_for(version.base_model, self._model_id):
            raise _refuse("It was made for {other}.", other=version.base_model)
        adapter = check_adapter(_folder(version))
        tensors = _read(adapter, version)
        name = f"a{next(self._numbers)}"
        if adapter.peft_type == "PROMPT_TUNING":
            handle = self._load_prompt(name, tensors["prompt_embeddings"])
        else:
            handle = Handle(name, adapter.peft_type)
            try:
                self._insert(handle, adapter, tensors)
            except (ValueError, RuntimeError, KeyError, TypeError) as error:
                self._discard(handle)
                reason = (str(error).strip().splitlines() or ["unknown"])[0]
                raise _refuse("It does not fit the base model: {why}", why=reason) from error
        try:
            self._prove(handle)
        except VersionError:
            self._discard(handle)
            raise
        return handle

    def activate(self, handle: Handle) -> Any:
        """The module whose forward answers with this adapter, and no other until the next call."""
        tree = self._trees.get(handle.kind)
        if tree is None:
            return self._model
        if tree.active_adapter != handle.name:
            tree.set_adapter(handle.name, inference_mode=True)
        return tree.get_base_model()

    def free(self, name: str, kind: str) -> None:
        """Take an adapter that nothing uses any more out of memory."""
        self._discard(Handle(name, kind))

    def embed(self, handle: Handle, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings of `ids` (1, n) after the virtual tokens: (1, virtual + n, hidden size)."""
        import torch  # heavy

        words = self._model.get_input_embeddings()(ids)
        assert handle.prompt is not None
        return torch.cat([handle.prompt.to(words)[None], words], dim=1)

    def _load_prompt(self, name: str, embeddings: torch.Tensor) -> Handle:
        width = self._model.config.hidden_size
        if embeddings.shape[1] != width:
            raise _refuse(
                "Its prompt is {ours} wide and the base model {theirs}: it was made for another.",
                ours=embeddings.shape[1],
                theirs=width,
            )
        return Handle(name, "PROMPT_TUNING", embeddings.to(self._model.device))

    def _insert(self, handle: Handle, adapter: Adapter, tensors: dict[str, torch.Tensor]) -> None:
        from peft import PeftModel  # heavy: torch

        config = _peft_config(adapter)
        tree = self._trees.get(handle.kind)
        if tree is None:
            with warnings.catch_warnings():
                # PEFT asks transformers for a property under its old name.
                warnings.simplefilter("ignore", FutureWarning)
                tree = PeftModel(share_layers(self._model), config, handle.name)
            self._trees[handle.kind] = tree
        else:
            tree.add_adapter(handle.name, config)
        _fill(tree, handle.name, tensors)
        tree.requires_grad_(requires_grad=False)
        tree.eval()

    def _discard(self, handle: Handle) -> None:
        tree = self._trees.get(handle.kind)
        if tree is None or handle.name not in tree.peft_config:
            return
        others = [name for name in tree.peft_config if name != handle.name]
        if not others:
            del self._trees[handle.kind]
            return
        if tree.active_adapter == handle.name:
            tree.set_adapter(others[0], inference_mode=True)
        tree.delete_adapter(handle.name)

    def _prove(self, handle: Handle) -> None:
        """An adapter that silently does nothing is the most common bug of all servers."""
        import torch  # heavy

        logits = self._logits(handle)
        if not bool(torch.isfinite(logits).all()):
            raise _refuse("With it the model computes something that is no number.")
        if torch.equal(logits, self._base_logits):
            raise _refuse("It changes nothing: with it the model answers exactly like the base.")

    def _logits(self, handle: Handle) -> torch.Tensor:
        import torch  # heavy

        ids = torch.tensor([self._probe], device=self._model.device)
        module = self.activate(handle)
        with torch.inference_mode():
            if handle.prompt is None:
                output = module(input_ids=ids, logits_to_keep=1)
            else:
                output = module(inputs_embeds=self.embed(handle, ids), logits_to_keep=1)
        return output.logits[0, -1].float().cpu()


def _fill(tree: Any, name: str, tensors: dict[str, torch.Tensor]) -> None:
    """Put the weights of a file into the adapter `name`; each must find its place, and none be
    left. Raises ValueError.

    Not by PEFT's set_peft_model_state_dict: it calls state_dict() on the whole model, which on
    processors with AVX512-BF16 makes bitsandbytes round the scales of the 4-bit base anew.
    """
    left = dict(tensors)
    for parameter_name, parameter in tree.named_parameters():
        if not f"{parameter_name}.".count(f".{name}."):
            continue
        key = parameter_name.replace(f".modules_to_save.{name}", "").replace(f".{name}", "")
        if key not in left:
            key = key.removesuffix(".weight")  # DoRA's magnitudes.
        value = left.pop(key, None)
        if value is None or value.shape != parameter.shape:
            raise ValueError(f"the weights of {key} do not match")
        parameter.data.copy_(value)
    if left:
        raise ValueError(f"the weights of {next(iter(left))} do not match")


def share_layers(model: Any) -> Any:
    """A copy of the model's containers over the very same layers, so of no size.

    PEFT replaces layers in their containers; the original never sees it.
    """
    shared: dict[int, Any] = {id(m): m for m in model.modules() if not list(m.children())}
    shared |= {id(p): p for p in model.parameters()} | {id(b): b for b in model.buffers()}
    quantizer = getattr(model, "hf_quantizer", None)
    if quantizer is not None:
        shared[id(quantizer)] = quantizer
    return copy.deepcopy(model, shared)


def _refuse(sentence: str, **values: object) -> VersionError:
    return VersionError("version_not_for_engine", sentence, **values)


def _folder(version: Version) -> Path:
    if version.path is None:
        raise _refuse("The base has no adapter.")
    inner = Path(version.path) / "adapter"
    return inner if inner.is_dir() else Path(version.path)


def _read(adapter: Adapter, version: Version) -> dict[str, torch.Tensor]:
    """The weights, from bytes that were hashed themselves: the file cannot change in between."""
    from safetensors.torch import load  # heavy: torch

    try:
        data = adapter.weights.read_bytes()
        config = (adapter.folder / CONFIG).read_bytes()
    except OSError as error:
        raise _refuse("It cannot be read: {why}.", why=error.strerror) from error
    digest = hashlib.sha256(data).hexdigest()
    if version.sha256 not in (None, digest, bare_sha256(digest, config)):
        raise _refuse("Its weights changed since they were checked.")
    return load(data)


def _peft_config(adapter: Adapter) -> Any:
    from peft import IA3Config, LoraConfig  # heavy: torch

    kind: Any = {"LORA": LoraConfig, "IA3": IA3Config}[adapter.peft_type]
    known = {f.name for f in dataclasses.fields(kind)}
    values = {k: v for k, v in adapter.config.items() if k in known}
    # The base is ours, whatever the adapter names, and nothing is ever trained here.
    return kind(**(values | {"base_model_name_or_path": None, "inference_mode": True}))
