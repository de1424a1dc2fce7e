"""`python -m javis.train.worker <folder>`: the process that trains one run and ends.

It always ends with `result.json`, whatever happens, unless it is killed or the disk is full.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from javis.core.errors import AlreadyTraining, JavisError, TrainError
from javis.engine.files import atomic_file
from javis.engine.hf_model import prepare_process
from javis.train.config import TrainConfig
from javis.train.events import EventLog, Heartbeat, finite

if TYPE_CHECKING:
    from collections.abc import Iterator

LOG = logging.getLogger("javis.train")
RESULT = "result.json"
_LOCK = ".lock"
_LOCK_S = 5.0
_MAX_FD = 1 << 16
_GRACE_S = 3.0
"""After being told to stop: what then still computes is left where it is."""


class Cancelled(BaseException):
    """Raised where the main thread is when the process is told to stop. No JavisError, so that
    nothing on the way takes it for a failure."""


def main(argv: list[str]) -> int:
    """Train the run in the folder that is named; 0 when `result.json` tells how it ended."""
    _prepare()
    folder = Path(argv[1]).resolve()
    heartbeat = Heartbeat(folder)
    heartbeat.start()
    events = EventLog(folder)
    stop_at_term(folder)
    try:
        result = _outcome(folder, events)
        # From here on being told to stop makes no difference.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except Cancelled:
        result = {"state": "cancelled"}
    _tell(events, result)
    write_result(folder, result)
    if result["state"] == "trained":
        from javis.train.checkpoints import remove_all

        remove_all(folder)
    heartbeat.stop()
    events.close()
    return 0


def _prepare() -> None:
    """What must be set before torch and the Hugging Face libraries are imported."""
    prepare_process()
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ[name] = "1"
    os.environ["WANDB_DISABLED"] = "true"
    logging.basicConfig(
        stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s", force=True
    )
    for name in ("httpx", "datasets", "accelerate"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _outcome(folder: Path, events: EventLog) -> dict[str, Any]:
    try:
        events.add("phase", phase="preparing")
        config = TrainConfig.read(folder)
        with _only_one(folder.parent):
            from javis.train.run import train  # heavy: torch, trl

            return train(config, folder, events)
    except JavisError as error:
        return _failed(error)
    except Exception as error:
        LOG.exception("the run failed")
        return _failed(_plain(error))


def _plain(error: Exception) -> JavisError:
    """An error of a library in words that help."""
    text = str(error).strip()
    name = type(error).__name__
    low = ("not enough memory", "out of memory", "can't allocate memory")
    if isinstance(error, MemoryError) or "OutOfMemory" in name or any(t in text for t in low):
        return TrainError(
            "train_memory",
            "There was not enough memory for this training. Try a smaller batch_size or "
            "max_length, or turn gradient_checkpointing on.",
        )
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    # torch and safetensors wrap what the system said.
    wrapped = ("(os error 28)", "(os error 122)", "(os error 27)", "No space left on device")
    if full or any(t in text for t in (*wrapped, "file write failed")):
        return TrainError(
            "train_disk_full",
            "The disk became full during the training. Make room and resume it.",
        )
    why = (text.splitlines() or [""])[0][:300] or name
    return TrainError("train_failed", "The training ended with an error: {why}", why=why)


def _failed(error: JavisError) -> dict[str, Any]:
    values = {
        key: value if isinstance(value, (str, int, float, bool)) else str(value)
        for key, value in error.values.items()
    }
    return {"state": "failed", "code": error.code, "message": str(error), "values": values}


def _tell(events: EventLog, result: dict[str, Any]) -> None:
    with suppress(OSError):
        if result["state"] == "failed":
            told = {key: result[key] for key in ("code", "message", "values")}
            events.add("failed", **told)
            LOG.error("%s", result["message"])
        else:
            events.add("done", state=result["state"])


def write_result(folder: Path, result: dict[str, Any]) -> None:
    """Whole or not at all."""
    text = json.dumps(finite(result), ensure_ascii=False, allow_nan=False, indent=1)
    with atomic_file(folder / RESULT) as temporary:
        temporary.write_text(text, "utf-8")


def stop_at_term(folder: Path) -> None:
    """At SIGTERM leave at once, wherever the program is: in a step, a score, while loading."""

    def told(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        # One long call into a library may come between, or swallow the exception.
        threading.Thread(target=_leave, args=(folder,), daemon=True).start()
        raise Cancelled

    signal.signal(signal.SIGTERM, told)


def _leave(folder: Path) -> None:
    time.sleep(_GRACE_S)
    if not (folder / RESULT).is_file():
        write_result(folder, {"state": "cancelled"})
    os._exit(0)


@contextmanager
def _only_one(runs: Path) -> Iterator[None]:
    """Hold the right to train as long as this process lives. Raises AlreadyTraining.

    The supervisor took it and handed the open file on; started by hand, it is taken here.
    """
    path = runs / _LOCK
    if _inherited(path):
        yield
        return
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=_LOCK_S if sys.platform == "win32" else 0)
    try:
        lock.acquire()
    except Timeout:
        raise AlreadyTraining() from None
    with lock:
        yield


def _inherited(path: Path) -> bool:
    """Whether this process was born with the lock file open."""
    try:
        wanted = path.stat()
    except OSError:
        return False
    # A busy server had many files open before it opened this one.
    for fd in range(3, _MAX_FD):
        with suppress(OSError):
            found = os.fstat(fd)
            if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                return True
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv))
