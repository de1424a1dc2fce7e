"""Whatever a config and a header say, the check answers with a sentence, never with a crash."""

from __future__ import annotations

import io
import json
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from javis.core.errors import VersionError
from javis.engine import adapter
from javis.engine.adapter import Tensor, check_adapter, check_config, check_tensors, read_header
from javis.versions.metadata import complete
from tests.versions.making import CONFIG, METADATA, TENSOR, make_adapter

PROMPT: dict[str, Any] = {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4}
IA3: dict[str, Any] = {"peft_type": "IA3", "target_modules": ["k_proj"]}
ODD = [0, -1, True, 10**400, -(10**400), 1e308, float("nan"), float("inf"), "", "x", "a.x.b"]
SHAPES = [(4, 8), (8, 4), (4,), (1, 1)]
TENSORS = [
    *(TENSOR.format(half) for half in "AB"),
    *("prompt_embeddings", "a.x.b", "base_model.model.k_proj.ia3_l", "a.x.\udc80", ""),
]

odd = st.recursive(
    st.none() | st.sampled_from(ODD) | st.text(max_size=5) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "a.b", "\n"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    """One that is nearly right: else hardly any would get past the first check."""
    config = draw(st.sampled_from([CONFIG, PROMPT, IA3]))
    keys = sorted(adapter._SCHEMA[config["peft_type"]])
    changes = draw(st.dictionaries(st.sampled_from(keys), odd, max_size=2))
    saved = draw(st.sampled_from([None, ["x"]]))
    return config | {"modules_to_save": saved} | changes


tensors = st.dictionaries(
    st.sampled_from(TENSORS), st.sampled_from(SHAPES).map(lambda s: Tensor("F32", s, 0, 0))
)


@settings(max_examples=300, deadline=None)
@given(config=configs(), found=tensors)
def test_a_config_is_accepted_or_refused_in_words(
    config: dict[str, Any], found: dict[str, Tensor]
) -> None:
    with suppress(VersionError):
        check_config(config)
        check_tensors(config, found)
        json.dumps([config, list(found)], ensure_ascii=False).encode("utf-8")


@example(name="a.x.b", entry={"dtype": "F32", "shape": [4, 8], "data_offsets": [0, 128.0]})
@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(TENSORS),
    entry=st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(["F32", "F16", "I8"]) | odd,
            "shape": st.sampled_from([[4, 8], [4.0, 8], [1 << 40, 1]]) | odd,
            "data_offsets": st.sampled_from([[0, 128], [0, 128.0], [0.0, 128], [False, 128]]) | odd,
        }
    ),
)
def test_a_header_is_accepted_or_refused_in_words(name: str, entry: dict[str, Any]) -> None:
    text = json.dumps({name: entry}).encode()
    data = struct.pack("<Q", len(text)) + text + bytes(128)
    with suppress(VersionError):
        for tensor in read_header(io.BytesIO(data), len(data)).values():
            assert len(data[tensor.start : tensor.end]) == 128


def test_a_prompt_must_be_there_beside_saved_modules(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "a")
    (folder / "adapter_config.json").write_text(json.dumps(PROMPT | {"modules_to_save": ["x"]}))
    save_file({"a.x.b": np.ones((4, 8), np.float32)}, folder / "adapter_model.safetensors")
    with pytest.raises(VersionError, match="prompt embeddings"):
        check_adapter(folder)


@pytest.mark.parametrize(
    "change", [{"lora_alpha": 10**400}, {"revision": "\udc80"}, {"layers_to_transform": [[1]]}]
)
def test_a_config_that_json_allows_and_nothing_else_is_refused(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = make_adapter(tmp_path / "a", **change)
    with pytest.raises(VersionError):
        check_adapter(folder)


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("training_config", {"epochs": 10**400}),
        ("training_config", {"lora_r": float("nan")}),
        ("training_data", {"total_turns": 10**400}),
    ],
)
def test_metadata_with_numbers_that_are_none_is_refused(part: str, change: dict[str, Any]) -> None:
    assert complete(METADATA)
    with pytest.raises(VersionError):
        complete(METADATA | {part: METADATA[part] | change})
