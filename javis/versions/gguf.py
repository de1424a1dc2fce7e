"""A PEFT LoRA as the GGUF file that llama.cpp loads; made with the gguf package, without torch.

llama.cpp adds `alpha / r · B A x` for each tensor, with one alpha for the file (`build_lora_mm` in
llama-graph.cpp). Its converter for the `llama` architecture reorders the rows of the query and key
projections for its rotary embedding (`permute` in convert_hf_to_gguf.py), so the rows of their
lora_B are reordered the same way; Qwen's are not.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from javis.core.errors import EngineError, VersionError
from javis.core.types import Version
from javis.engine.adapter import CONFIG, Adapter, Tensor, check_adapter, read_json
from javis.engine.files import atomic_file, sha256_stamped
from javis.engine.gguf_header import GgufHeader, read_header

if TYPE_CHECKING:
    import numpy as np

_CONVERTER = 1
"""Part of the name of a converted file: another number makes all of them anew."""
_PERMUTED = {"llama": True, "qwen2": False, "qwen3": False}
"""Architectures whose adapters can be converted, and whether query and key rows move."""
_PREFIX = "base_model.model."
_DTYPE = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def _refuse(sentence: str, **values: object) -> VersionError:
    return VersionError("version_not_for_engine", sentence, **values)


def ensure_gguf(version: Version, base_gguf: Path, cache_dir: Path) -> Path:
    """The GGUF form of a version's adapter for this base, made once and kept in `cache_dir`.

    Named by the hashes of both and of the adapter's configuration (the same weights count more
    with a larger alpha), so none can meet a file that is not its own. Raises VersionError when
    llama.cpp cannot hold the adapter.
    """
    if version.damaged or version.path is None or version.sha256 is None:
        raise _refuse("{why}", why=version.damaged or "The base has no adapter.")
    base = _base_sha256(base_gguf)
    published = _published(Path(version.path), base)
    if published:
        return published
    folder = Path(version.path)
    adapter = folder / "adapter" if (folder / "adapter").is_dir() else folder
    try:
        config = hashlib.sha256((adapter / CONFIG).read_bytes()).hexdigest()
    except OSError as error:
        raise _refuse("It cannot be read: {why}.", why=error.strerror) from error
    name = "-".join((version.sha256[:32], base[:32], config[:16]))
    target = cache_dir / f"lora-{_CONVERTER}-{name}.gguf"
    if not target.exists():
        convert(adapter, base_gguf, target)
    return target


def prune(cache_dir: Path, in_use: Iterable[str | None]) -> None:
    """Delete the files of adapters that are no version, such as refused candidates."""
    kept = {sha256[:32] for sha256 in in_use if sha256}
    for file in cache_dir.glob("lora-*.gguf"):
        if file.stem.split("-")[2] not in kept:
            with suppress(OSError):
                file.unlink()


def stamp(base_gguf: Path) -> dict[str, Any]:
    """What a version's manifest says of its GGUF file: what it was made for, and how."""
    return {"base_sha256": _base_sha256(base_gguf), "converter": _CONVERTER}


def _base_sha256(base_gguf: Path) -> str:
    return sha256_stamped(base_gguf, base_gguf.with_name(f".{base_gguf.name}.sha256"))


def _published(folder: Path, base_sha256: str) -> Path | None:
    """The file made when the version was published, if it was made for this very base.

    The registry has held it against the manifest's hashes already.
    """
    file = folder / "adapter.gguf"
    if not file.is_file():
        return None
    try:
        manifest = read_json(folder / "MANIFEST.json", 1 << 20)
    except VersionError:
        return None
    wanted = {"base_sha256": base_sha256, "converter": _CONVERTER}
    named = isinstance(manifest.get("files"), dict) and "adapter.gguf" in manifest["files"]
    return file if named and manifest.get("gguf") == wanted else None


def convert(adapter_dir: Path, base_gguf: Path, out_path: Path) -> None:
    """Write the LoRA in `adapter_dir` as a GGUF adapter of `base_gguf`, whole or not at all.

    Weights keep 32 bits: 19.6 MB at rank 16 for the embedded model, exact, and on a processor
    faster to decode than 16 bits (40 against 37 tok/s measured). Raises VersionError for what
    llama.cpp cannot hold: DoRA, IA3, prompt tuning, saved modules, embeddings, tensors that the
    base does not have or has in another shape.
    """
    adapter = check_adapter(adapter_dir)
    if reason := refusal(adapter):
        raise _refuse("{why}", why=reason)
    try:
        header = read_header(base_gguf)
    except EngineError as error:
        raise _refuse("{why}", why=error) from None
    if header.architecture not in _PERMUTED:
        raise _refuse(
            "Adapters for models of the kind '{arch}' cannot be served by llama.cpp yet.",
            arch=header.architecture,
        )
    alpha, tensors = _tensors(adapter, header)
    try:
        with atomic_file(out_path) as temporary:
            _write(temporary, header.architecture, alpha, tensors)
    except OSError as error:
        raise _refuse("The adapter could not be converted: {why}.", why=error.strerror) from error


def refusal(adapter: Adapter) -> str | None:
    """Why llama.cpp cannot serve an adapter of this kind, whatever its base; None when it can."""
    config = adapter.config
    if adapter.peft_type != "LORA":
        method = {"IA3": "IA3", "PROMPT_TUNING": "prompt tuning"}[adapter.peft_type]
        return (
            f"It was trained with {method}, which llama.cpp cannot serve; the transformers engine "
            "can (JAVIS_ENGINE=transformers)."
        )
    kinds = {
        "use_dora": "It was trained with DoRA, which llama.cpp cannot serve; only plain LoRA",
        "modules_to_save": "It replaces whole modules of the model, which llama.cpp cannot serve",
        "fan_in_fan_out": "It stores its weights transposed, which llama.cpp cannot serve",
    }
    for key, sentence in kinds.items():
        if config.get(key):
            return f"{sentence}; the transformers engine can (JAVIS_ENGINE=transformers)."
    return None


def _tensors(adapter: Adapter, header: GgufHeader) -> tuple[float, dict[str, np.ndarray]]:
    """The file's alpha and its tensors, as llama.cpp wants them."""
    config = adapter.config
    alpha = _scaling(config, int(config["r"]), "") * int(config["r"])
    if not alpha:
        raise _refuse("Its alpha is 0, so it would change nothing.")
    names = _name_map(header.architecture, header.layers)
    found: dict[str, np.ndarray] = {}
    for name in sorted(n for n in adapter.tensors if n.endswith(".lora_A.weight")):
        module = name.removeprefix(_PREFIX).removesuffix(".lora_A.weight")
        target = f"{names.get(module, '')}.weight"
        down = _load(adapter, adapter.tensors[name])
        up = _load(adapter, adapter.tensors[name.replace("lora_A", "lora_B")])
        base = header.tensors.get(target)
        if base is None:
            raise _refuse("It changes '{module}', which the base model lacks.", module=module)
        if base.shape != (up.shape[0], down.shape[1]):
            raise _refuse(
                "'{module}' is {ours} in the adapter and {theirs} in the base model: it was made "
                "for another one.",
                module=module,
                ours=f"{up.shape[0]}x{down.shape[1]}",
                theirs="x".join(map(str, base.shape)),
            )
        if _PERMUTED[header.architecture] and module.endswith((".q_proj", ".k_proj")):
            up = permute(up, header.heads if module.endswith(".q_proj") else header.kv_heads)
        rank = down.shape[0]
        # Ranks and alphas of single modules: llama.cpp has one alpha, so B takes the difference.
        factor = _scaling(config, rank, module) * rank / alpha
        found[f"{target}.lora_a"] = down
        found[f"{target}.lora_b"] = up if factor == 1.0 else up * factor
    if len(found) != len(adapter.tensors):
        plain = (".lora_A.weight", ".lora_B.weight")
        other = next((n for n in adapter.tensors if not n.endswith(plain)), None)
        if other is None:
            raise _refuse("It changes one module twice, under two names.")
        raise _refuse("It holds '{name}', which llama.cpp cannot serve.", name=other)
    return alpha, found


def _scaling(config: Mapping[str, Any], rank: int, module: str) -> float:
    """PEFT's factor before B A x (`LoraLayer.update_layer`)."""
    alpha = float(config["lora_alpha"])
    for key, value in config.get("alpha_pattern", {}).items():
        if module and re.match(rf"(.*\.)?({key})$", module):
            alpha = float(value)
            break
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def permute(rows: np.ndarray, heads: int) -> np.ndarray:
    """Reorder the rows of a query or key projection as the converter for `llama` does."""
    if not heads or rows.shape[0] % (2 * heads):
        raise _refuse("The number of attention heads does not fit the adapter.")
    split = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return split.swapaxes(1, 2).reshape(rows.shape)


def _load(adapter: Adapter, tensor: Tensor) -> np.ndarray:
    import numpy as np  # heavy

    with adapter.weights.open("rb") as handle:
        handle.seek(tensor.start)
        data = handle.read(tensor.end - tensor.start)
    values = np.frombuffer(data, _DTYPE[tensor.dtype])
    if tensor.dtype == "BF16":
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32).reshape(tensor.shape)


def _name_map(architecture: str, layers: int) -> Mapping[str, str]:
    import gguf  # heavy: numpy

    arch = next(a for a, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
    return {k: v[1] for k, v in gguf.get_tensor_name_map(arch, layers).mapping.items()}


def _write(path: Path, arch: str, alpha: float, tensors: Mapping[str, np.ndarray]) -> None:
    import gguf  # heavy: numpy
    import numpy as np

    writer = gguf.GGUFWriter(path, arch)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    for name, values in tensors.items():
        writer.add_tensor(name, np.ascontiguousarray(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
