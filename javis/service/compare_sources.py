"""What the disk says about versions, and about runs that became none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from javis.core.errors import NotFound
from javis.core.learning import TrainJob
from javis.core.types import BASE, Version
from javis.engine.files import sha256_file
from javis.eval.comparison import Source
from javis.store.jobs import JobStore
from javis.train.supervisor import Supervisor
from javis.versions.registry import Registry

_RUN = re.compile(r"j_[0-9a-f]{32}")
_WEIGHTS = "adapter_model.safetensors"


class Shown(Protocol):
    """The versions, of a running server or only on disk."""

    def all(self) -> Sequence[Version]: ...

    def current(self) -> str: ...


def _none_refused() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Sources:
    """Finds what there is to compare."""

    versions: Shown
    registry: Registry
    jobs: JobStore
    supervisor: Supervisor
    refused: Callable[[], Mapping[str, str]] = _none_refused
    """Why the running engine does not answer with a version, by name."""

    def names(self) -> list[str]:
        """The base and every version that is whole, oldest first."""
        return [v.name for v in self.versions.all() if not v.damaged]

    def of(self, names: Sequence[str]) -> list[Source]:
        """In this order, each once. Raises NotFound for a name that is nothing."""
        known = {v.name: v for v in self.versions.all()}
        current, refused = self.versions.current(), self.refused()
        found: dict[str, Source] = {}
        for name in names:
            job = self.jobs.get(name) if _RUN.fullmatch(name) else None
            # A run goes by the version that it became.
            version = known.get(job.version or "" if job else name)
            if version is not None:
                found[version.name] = self._version(version, current, refused.get(version.name))
            elif job is not None:
                found[job.id] = self._run(job)
            else:
                raise NotFound("no_version", "There is no version {name}.", name=name[:40])
        return list(found.values())

    def _version(self, version: Version, current: str, refused: str | None) -> Source:
        is_base = version.name == BASE
        metadata = self.registry.metadata(version.name)
        return Source(
            name=version.name,
            sha256=version.sha256 or "",
            state="base" if is_base else "version",
            current=version.name == current,
            refused=refused or version.damaged,
            metadata=metadata or {"base_model": version.base_model},
            report={} if is_base else self.registry.report(version.name),
            size_bytes=0 if version.path is None else size_of(Path(version.path)),
        )

    def _run(self, job: TrainJob) -> Source:
        """A run that became no version: what it left when the gate refused it, say."""
        result = self.supervisor.result(job.id) or {}
        adapter = self.supervisor.folder(job.id) / "adapter"
        weights = adapter / _WEIGHTS
        train = result.get("train")
        train = train if isinstance(train, dict) else {}
        return Source(
            name=job.id,
            sha256=sha256_file(weights) if weights.is_file() else "",
            run=job.id,
            state=job.state,
            metadata=_metadata(job),
            report={
                "train": train,
                "curve": train.get("curve") or [],
                "verdict": job.verdict or {},
            },
            size_bytes=size_of(adapter) if weights.is_file() else None,
        )


def _metadata(job: TrainJob) -> dict[str, Any]:
    config = {
        "method": job.method,
        "epochs": job.hyperparameters.get("epochs"),
        "learning_rate": job.hyperparameters.get("learning_rate"),
    }
    return {
        "base_model": job.base_model,
        "created_at": job.ended_at or job.created_at,
        "training_config": config,
        "training_data": {"total_turns": job.data.get("turns")},
        "parent": job.data.get("parent"),
        "run": job.id,
    }


def size_of(folder: Path) -> int | None:
    """Bytes of all files; None when it cannot be read."""
    try:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    except OSError:
        return None
