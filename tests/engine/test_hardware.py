from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from javis.engine import hardware


def test_detect_says_what_psutil_says() -> None:
    start = time.perf_counter()
    found = hardware.detect()
    assert time.perf_counter() - start < 6
    assert 1 <= found.cores <= (os.cpu_count() or 1)
    assert 0 < found.ram_available <= found.ram_total <= psutil.virtual_memory().total
    assert found.vram_free <= found.vram_total
    assert found.has_cuda == (found.gpu is not None and found.cuda_build)


def test_detect_does_not_import_torch() -> None:
    code = "import sys; from javis.engine.hardware import detect; detect(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "torch" not in done.stdout.split()


def test_torch_build_is_read_without_importing_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import torch; print(torch.version.cuda is not None)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(hardware.torch_has_cuda()) == done.stdout.strip()


@pytest.mark.parametrize(
    ("text", "cards"),
    [
        (
            "0, GPU-1, NVIDIA GeForce RTX 4090, 24564, 23028\n",
            [("NVIDIA GeForce RTX 4090", 24564, 23028)],
        ),
        ("0, GPU-1, Odd, name, 100, 10\n", [("Odd, name", 100, 10)]),
        ("0, GPU-1, Grace, [N/A], [N/A]\n1, GPU-2, B, 8, 4\n", [("B", 8, 4)]),
        ("No devices were found\n", []),
        ("", []),
    ],
)
def test_nvidia_lines(text: str, cards: list[tuple[str, int, int]]) -> None:
    found = [(c.name, c.total, c.free) for c in hardware.parse_nvidia(text)]
    assert found == [(name, total << 20, free << 20) for name, total, free in cards]


def test_no_nvidia_smi_is_no_card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hardware.detect().gpu is None


def test_a_hanging_nvidia_smi_is_no_card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nexec sleep 30\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(hardware, "_NVIDIA_SMI_TIMEOUT_S", 0.2)
    assert hardware.detect().gpu is None


def test_a_container_s_share_counts(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("200000 100000\n")
    (tmp_path / "memory.max").write_text("4294967296\n")
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 400\n")
    assert hardware._cores(1, tmp_path) == 1
    assert hardware._cores(64, tmp_path) <= 2
    assert hardware._memory_limit(tmp_path) == (4 << 30, 600)
    (tmp_path / "memory.max").write_text("max\n")
    assert hardware._memory_limit(tmp_path) == (None, 0)
    assert hardware._memory_limit(tmp_path / "none") == (None, 0)


def smi(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Let nvidia-smi print these lines."""
    tool = folder / "nvidia-smi"
    tool.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_card_that_is_hidden_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hidden: str
) -> None:
    smi(tmp_path, monkeypatch, "0, GPU-1, RTX 4090, 24564, 24000")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert hardware.detect().gpu == "RTX 4090"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert hardware.detect().gpu is None


@pytest.mark.parametrize(
    ("visible", "name", "after"),
    [
        (None, "Large", "GPU-22"),
        ("0,2", "Other", "GPU-33"),
        ("0", "Small", "0"),
        ("GPU-1", "Small", "GPU-1"),
        ("MIG-7", "Large", "MIG-7"),
    ],
)
def test_the_card_that_is_judged_is_the_one_that_is_used(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    visible: str | None,
    name: str,
    after: str,
) -> None:
    cards = ("0, GPU-11, Small, 100, 10", "1, GPU-22, Large, 200, 150", "2, GPU-33, Other, 90, 80")
    smi(tmp_path, monkeypatch, *cards)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible or "")
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    found = hardware.detect()
    assert found.gpu == name
    assert os.environ["CUDA_VISIBLE_DEVICES"] == after
    again = hardware.detect()
    assert (again.gpu, again.vram_free) == (found.gpu, found.vram_free)
