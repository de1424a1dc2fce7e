"""Other forms of a GGUF model: another quantization, and the dense copy that is trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from javis.core.errors import EngineError
from javis.engine.files import atomic_file, atomic_folder, sha256_stamped
from javis.engine.gguf_header import read_header

Quantization = Literal["Q8_0", "Q4_0", "F16", "F32"]
_FILE_TYPE = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7}
"""`llama_ftype` in llama.h."""
_SOURCE = "javis-source.json"


def requantize(gguf_in: Path, out: Path, kind: Quantization) -> Path:
    """Write a GGUF model in another quantization, whole or not at all; instant when it is there.

    Every weight matrix is decoded and encoded anew; norms and biases stay as they are, and a token
    embedding with 8 bits keeps them under Q4_0, as it is also the output layer. Made by the gguf
    package in one thread: about 4 s for the embedded model. Raises EngineError.
    """
    if out.is_file():
        return out
    read_header(gguf_in)  # Refuses what is no GGUF file, in plain words.
    import gguf  # heavy: numpy

    reader = gguf.GGUFReader(gguf_in)
    wanted = gguf.GGMLQuantizationType[kind]
    arch = str(reader.fields["general.architecture"].contents())
    try:
        with atomic_file(out) as temporary:
            writer = gguf.GGUFWriter(temporary, arch)
            _copy_fields(reader, writer)
            writer.add_file_type(_FILE_TYPE[kind])
            for tensor in reader.tensors:
                data, form = _encode(tensor, wanted)
                writer.add_tensor(tensor.name, data, raw_dtype=form)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
            writer.close()
    except OSError as error:
        raise EngineError(
            "convert_failed", "The model could not be converted: {why}", why=error.strerror
        ) from error
    return out


def _copy_fields(reader: Any, writer: Any) -> None:
    import gguf  # heavy: numpy

    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in (
            gguf.Keys.General.ARCHITECTURE,
            gguf.Keys.General.FILE_TYPE,
        ):
            continue
        kind = field.types[0]
        sub_kind = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=sub_kind)


def _encode(tensor: Any, wanted: Any) -> tuple[Any, Any]:
    import gguf  # heavy: numpy

    kinds = gguf.GGMLQuantizationType
    is_matrix = len(tensor.shape) == 2
    keeps = wanted == kinds.Q4_0 and tensor.name == "token_embd.weight"
    if (
        not is_matrix
        or tensor.tensor_type == wanted
        or (keeps and tensor.tensor_type == kinds.Q8_0)
    ):
        return tensor.data, tensor.tensor_type
    dense = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    return gguf.quants.quantize(dense, wanted), wanted


def dense_path(gguf_path: Path) -> Path:
    """Where the dense copy of a GGUF model is kept: beside it."""
    return gguf_path.with_name(f"{gguf_path.stem}.dense")


def dense_copy(gguf_path: Path, out_dir: Path, dtype: str = "float32") -> Path:
    """The weights of a GGUF model as a transformers folder, decoded once (12 to 23 s, 538 MB for
    the embedded model) and kept. `dtype` is `float32`, exact, or `bfloat16`.

    Raises EngineError for an architecture that transformers cannot decode.
    """
    source = {"dtype": dtype, "gguf_sha256": _sha256(gguf_path)}
    if _made_from(out_dir) == source:
        return out_dir
    if out_dir.exists():
        raise EngineError(
            "dense_other",
            "{folder} was made from another model file. Delete it and start again.",
            folder=out_dir,
        )
    header = read_header(gguf_path)
    if int(header.fields.get("split.count") or 1) > 1:
        # transformers would fill in what the other parts hold with random numbers.
        raise EngineError(
            "gguf_split",
            "{name} is one of several parts: JAVIS chats with such a model, but cannot train it. "
            "Merge the parts first (llama-gguf-split --merge).",
            name=gguf_path.name,
        )
    try:
        with atomic_folder(out_dir) as temporary:
            _save_dense(gguf_path, temporary, dtype, header.context_tokens)
            (temporary / _SOURCE).write_text(json.dumps(source), "utf-8")
    except OSError as error:
        raise EngineError(
            "dense_failed", "The dense copy could not be written: {why}", why=error.strerror
        ) from error
    except Exception as error:  # The tokenizers library raises nothing narrower.
        raise EngineError(
            "dense_failed",
            "transformers cannot decode {name}: {why}",
            name=gguf_path.name,
            why=error,
        ) from error
    return out_dir


def _sha256(path: Path) -> str:
    if not path.is_file():
        raise EngineError("no_model_file", "There is no model file at {path}.", path=path)
    return sha256_stamped(path, path.with_name(f".{path.name}.sha256"))


def _made_from(folder: Path) -> Any:
    try:
        return json.loads((folder / _SOURCE).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _save_dense(gguf_path: Path, folder: Path, dtype: str, context: int) -> None:
    import torch  # heavy
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"gguf_file": gguf_path.name, "local_files_only": True}
    model: Any = AutoModelForCausalLM.from_pretrained(
        gguf_path.parent, dtype=getattr(torch, dtype), **source
    )
    # transformers takes a decoded model for a quantized one and would refuse to save or train it.
    for name in ("hf_quantizer", "is_quantized", "quantization_method"):
        model.__dict__.pop(name, None)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(gguf_path.parent, **source)
    tokenizer.model_max_length = context
    tokenizer.save_pretrained(folder)
