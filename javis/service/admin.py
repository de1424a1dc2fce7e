"""What the admin tab and `/health` show, and the backup."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import javis
from javis.core.protocols import Engine
from javis.core.sentence import Sentence
from javis.core.types import EngineInfo, Message
from javis.service.versions import VersionService
from javis.store import Store, maintenance, now_iso


class AdminService:
    """State of the running program."""

    def __init__(
        self, engine: Engine, store: Store, versions: VersionService, why: Sequence[Sentence]
    ) -> None:
        self._engine = engine
        self._store = store
        self._versions = versions
        self.why = why
        """Why this engine and model were picked, a sentence each."""
        self._started = time.monotonic()

    @property
    def model(self) -> EngineInfo:
        return self._engine.info

    def training_text(self, messages: Sequence[Message]) -> list[tuple[str, bool]]:
        """The exact text that training on the last message sees, as (text, trained) pieces."""
        return self._engine.training_text(messages)

    def health(self) -> dict[str, Any]:
        """`/health`: small, quick and without anything private."""
        info = self._engine.info
        return {
            "status": "ok",
            "model": info.model,
            "engine": info.engine,
            "quantization": info.quantization,
            "version": self._versions.current(),
            "app_version": javis.__version__,
            "uptime_s": round(time.monotonic() - self._started, 1),
        }

    def memory_bytes(self) -> int:
        """Resident memory of this process."""
        import psutil

        return int(psutil.Process(os.getpid()).memory_info().rss)

    def store_health(self) -> dict[str, Any]:
        return maintenance.health(self._store.db)

    def backup(self, folder: Path) -> Path:
        """A consistent copy of the journal in `folder`, named by the time."""
        folder.mkdir(parents=True, exist_ok=True)
        stamp = now_iso().replace(":", "").replace(".", "-")
        target = folder / f"javis-{stamp}.jnl"
        maintenance.backup(self._store.db, target)
        return target
