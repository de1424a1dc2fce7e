"""What this computer has for a model to run on; found out in well under a second, without torch."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_NVIDIA_SMI_TIMEOUT_S = 5.0
_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class Hardware:
    """Sizes in bytes. `vram_free` is what other programs leave at this moment."""

    cores: int
    """Real cores that this process may use, a container's share included."""
    ram_total: int
    ram_available: int
    """Without swapping others out, a container's limit included."""
    gpu: str | None = None
    """Name of the NVIDIA card with the most free memory."""
    vram_total: int = 0
    vram_free: int = 0
    cuda_build: bool = False
    """Whether the installed torch can use CUDA."""
    apple_silicon: bool = False

    @property
    def has_cuda(self) -> bool:
        """True when the transformers engine can run on a card here."""
        return self.gpu is not None and self.cuda_build


def detect() -> Hardware:
    """Look at this computer. Never raises: what cannot be found out is taken as absent.

    Of several cards one is chosen, and this process and its children see no other from then on.
    """
    import psutil

    memory = psutil.virtual_memory()
    limit, used = _memory_limit(_CGROUP)
    total, available = int(memory.total), int(memory.available)
    if limit is not None and limit < total:
        total, available = limit, min(available, max(0, limit - used))
    card = _nvidia()
    return Hardware(
        cores=_cores(psutil.cpu_count(logical=False) or 1, _CGROUP),
        ram_total=total,
        ram_available=available,
        gpu=card.name if card else None,
        vram_total=card.total if card else 0,
        vram_free=card.free if card else 0,
        cuda_build=torch_has_cuda(),
        apple_silicon=platform.system() == "Darwin" and platform.machine() == "arm64",
    )


def torch_has_cuda() -> bool:
    """Whether the installed torch was built for CUDA, read from its version file."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    with contextlib.suppress(OSError):
        text = (Path(spec.origin).parent / "version.py").read_text("utf-8")
        return re.search(r"^cuda\b[^=]*=\s*['\"]", text, re.MULTILINE) is not None
    return False


def _cores(real: int, cgroup: Path) -> int:
    if hasattr(os, "sched_getaffinity"):
        real = min(real, len(os.sched_getaffinity(0)))
    with contextlib.suppress(OSError, ValueError):
        quota, period = (cgroup / "cpu.max").read_text("ascii").split()
        if quota != "max":
            real = min(real, round(int(quota) / int(period)))
    return max(1, real)


def _memory_limit(cgroup: Path) -> tuple[int | None, int]:
    """(limit, in use) of the container in bytes; the page cache, which can go, is not in use."""
    with contextlib.suppress(OSError, ValueError):
        limit = (cgroup / "memory.max").read_text("ascii").strip()
        if limit == "max":
            return None, 0
        used = int((cgroup / "memory.current").read_text("ascii"))
        stat = (cgroup / "memory.stat").read_text("ascii")
        cached = re.search(r"^inactive_file (\d+)$", stat, re.MULTILINE)
        return int(limit), used - (int(cached[1]) if cached else 0)
    return None, 0


@dataclass(frozen=True, slots=True)
class Card:
    """An NVIDIA card; sizes in bytes."""

    index: str
    """As nvidia-smi counts, which is not always as CUDA does."""
    uuid: str
    name: str
    total: int
    free: int


def _nvidia() -> Card | None:
    """The NVIDIA card with the most free memory, of those that this process may use."""
    visible = os.environ.get(_VISIBLE)
    if visible is not None and visible.strip() in ("", "-1"):
        return None  # hidden on purpose
    query = ["nvidia-smi", "--query-gpu=index,uuid,name,memory.total,memory.free"]
    try:
        done = subprocess.run(
            [*query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_NVIDIA_SMI_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    cards = parse_nvidia(done.stdout) if done.returncode == 0 else []
    named = [part.strip() for part in (visible or "").split(",")]
    chosen = [c for c in cards if any(n == c.index or _is_start(n, c.uuid) for n in named)]
    # A part of a card has a name of its own, which is not in this list: that one stays chosen.
    known = visible is None or bool(chosen)
    cards = chosen or cards
    best = max(cards, key=lambda card: card.free, default=None)
    if best and known and len(cards) > 1:
        # Torch takes the first that it sees, and that must be the one whose memory was judged.
        os.environ[_VISIBLE] = best.uuid
    return best


def _is_start(name: str, uuid: str) -> bool:
    return name.startswith("GPU-") and uuid.startswith(name)


def parse_nvidia(text: str) -> list[Card]:
    """Read `index, uuid, name, total MiB, free MiB` lines; cards that do not tell their memory
    are left out."""
    cards = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            head, total, free = (part.strip() for part in line.rsplit(",", 2))
            index, uuid, name = (part.strip() for part in head.split(",", 2))
            cards.append(Card(index, uuid, name, int(total) << 20, int(free) << 20))
    return cards
