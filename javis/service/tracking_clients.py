"""Weights & Biases and trackio, each behind the same few calls. Neither is installed by default.

What leaves this program are numbers and the names of settings, never what anybody wrote. Nothing
about this computer is told either, as far as the clients can be asked not to.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

Name = Literal["wandb", "trackio"]


class TrackedRun(Protocol):
    """A run that numbers are added to."""

    def log(self, values: Mapping[str, float], step: int) -> None: ...

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write out what is pending. A run of the same id can be opened again."""
        ...


class TrackingClient(Protocol):
    def open(self, run_id: str, name: str, config: Mapping[str, Any]) -> TrackedRun:
        """Begin a run, or go on with the one of this id."""
        ...


def is_installed(name: Name) -> bool:
    return find_spec(name) is not None


def make_client(name: Name, folder: Path, project: str, *, offline: bool) -> TrackingClient:
    """The client of a name; its library is first imported when a run is opened."""
    kind = WandbClient if name == "wandb" else TrackioClient
    return kind(folder, project, offline)


class WandbClient:
    """Sends to wandb.ai, or where WANDB_BASE_URL says, if there is a key (`wandb login`); else the
    runs are kept in the folder, for `wandb sync`."""

    def __init__(self, folder: Path, project: str, offline: bool) -> None:
        self._folder, self._project, self._offline = folder, project, offline

    def open(self, run_id: str, name: str, config: Mapping[str, Any]) -> TrackedRun:
        # Read when the library is imported.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb  # an optional extra, and slow

        quiet = wandb.Settings(
            silent=True,
            console="off",
            disable_git=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
        )
        mode: Any = os.environ.get("WANDB_MODE", "online")  # W&B refuses what it does not know
        if self._offline or not wandb.login(prompt=False):
            mode = "offline"
        self._folder.mkdir(parents=True, exist_ok=True)
        run = wandb.init(
            project=self._project,
            id=run_id,
            name=name,
            config=dict(config),
            dir=self._folder,
            mode=mode,
            resume="allow",
            reinit="create_new",
            settings=quiet,
        )
        return _WandbRun(run)


class _WandbRun:
    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        self._run.summary.update(dict(summary))
        self._run.finish()


class TrackioClient:
    """Keeps runs in a file of the folder (or where TRACKIO_DIR says), for `trackio show`; with
    TRACKIO_SPACE_ID it sends them to a Space."""

    def __init__(self, folder: Path, project: str, offline: bool) -> None:
        self._folder, self._project, self._offline = folder, project, offline

    def open(self, run_id: str, name: str, config: Mapping[str, Any]) -> TrackedRun:
        if self._offline:
            for variable in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
                os.environ.pop(variable, None)
        # Read when the library is imported.
        os.environ.setdefault("TRACKIO_DIR", str(self._folder))
        import trackio  # an optional extra

        run = trackio.init(
            project=self._project,
            # A run is known by its name there.
            name=f"{name} {run_id}",
            config=dict(config),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return _TrackioRun(run)


class _TrackioRun:
    def __init__(self, run: Any) -> None:
        self._run = run
        self._step = 0

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._step = step
        self._run.log(dict(values), step=step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        numbers = {f"summary/{k}": v for k, v in summary.items() if not isinstance(v, str)}
        if numbers:
            self._run.log(numbers, step=self._step)
        self._run.finish()
