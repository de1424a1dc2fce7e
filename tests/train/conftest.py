from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["OMP_WAIT_POLICY"] = "passive"

from tests.engine import transformers_tiny as tiny


@pytest.fixture(scope="session")
def qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_qwen2(tmp_path_factory.mktemp("train") / "qwen2")


@pytest.fixture(scope="session")
def kormo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_kormo(tmp_path_factory.mktemp("train") / "kormo")[0]


@pytest.fixture(scope="package", autouse=True)
def offline() -> Iterator[None]:
    """For these tests only: those of the hub ask a server of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_DATASETS_OFFLINE", "1")
        yield


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models are slower on two, and sums come out differently."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
