"""`python -m javis.train.launch <job folder>`: what the supervisor starts.

The base that llama.cpp serves is a GGUF file; before the first run its weights are unpacked for
training, which takes some seconds and torch. So it is done here and not in the server.
"""

from __future__ import annotations

import json
import runpy
import signal
import sys
from pathlib import Path

from javis.core.errors import JavisError
from javis.engine.convert import dense_copy, dense_path
from javis.engine.files import atomic_file
from javis.train.config import TrainConfig
from javis.train.events import EventLog, Heartbeat

WORKER = "javis.train.worker"


def main(folder: Path) -> None:
    """Unpack the base if that is needed, then train."""
    try:
        unpack(folder)
    except JavisError as error:
        values = {name: str(value) for name, value in error.values.items()}
        result = {"state": "failed", "code": error.code, "message": str(error), "values": values}
        with atomic_file(folder / "result.json") as temporary:
            temporary.write_text(json.dumps(result), "utf-8")
        return
    sys.argv = [WORKER, str(folder)]
    runpy.run_module(WORKER, run_name="__main__")


def unpack(folder: Path) -> None:
    """Make the dense copy of the base's GGUF file, unless it is there. Raises JavisError."""
    dense = Path(TrainConfig.read(folder).base_path)
    source = dense.with_suffix(".gguf")
    if dense.exists() or not source.is_file() or dense_path(source) != dense:
        return
    events, heartbeat = EventLog(folder), Heartbeat(folder)
    events.add("phase", phase="preparing")
    heartbeat.start()
    # As an exception, so that the half-made copy is deleted.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        dense_copy(source, dense)
    finally:
        signal.signal(signal.SIGTERM, before)
        heartbeat.stop()
        events.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
