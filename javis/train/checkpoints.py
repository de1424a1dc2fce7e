"""Checkpoints that are known to be whole.

transformers writes straight into `checkpoint-N`, and takes the highest number for the newest,
whatever is in it. So once a save is done its files are hashed and synced and `MANIFEST.json` is
written last; a resumed run takes the newest folder whose manifest holds. Nothing that this
program did not write here itself is ever read, as checkpoints hold pickles.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from javis.engine.files import atomic_file, fsync_dir, fsync_file, sha256_file

MANIFEST = "MANIFEST.json"
KEPT = 2
_NAME = re.compile(r"checkpoint-(\d{1,9})")


def seal(checkpoint: Path) -> None:
    """Write the manifest of a checkpoint whose files are all written."""
    files = {}
    for path in sorted(checkpoint.iterdir()):
        if path.name == MANIFEST:
            continue
        fsync_file(path)
        files[path.name] = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
    fsync_dir(checkpoint)
    with atomic_file(checkpoint / MANIFEST) as temporary:
        temporary.write_text(json.dumps({"files": files}, indent=1), "utf-8")
    fsync_dir(checkpoint.parent)


def verifies(checkpoint: Path) -> bool:
    """Whether the manifest is there and every file is as it says, and there is no other."""
    try:
        files = json.loads((checkpoint / MANIFEST).read_text("utf-8"))["files"]
        present = {path.name for path in checkpoint.iterdir()} - {MANIFEST}
        return present == set(files) and all(
            (checkpoint / name).stat().st_size == file["bytes"]
            and sha256_file(checkpoint / name) == file["sha256"]
            for name, file in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def checkpoints(folder: Path) -> list[Path]:
    """All checkpoint folders of a run, whole or not, the newest first."""
    found = [
        (int(match[1]), path)
        for path in folder.iterdir()
        if (match := _NAME.fullmatch(path.name)) and path.is_dir() and not path.is_symlink()
    ]
    return [path for _, path in sorted(found, reverse=True)]


def newest_whole(folder: Path) -> Path | None:
    """The checkpoint to go on from; what is newer and torn is removed. None: from the start."""
    for path in checkpoints(folder):
        if verifies(path):
            return path
        shutil.rmtree(path, ignore_errors=True)
    return None


def remove_all(folder: Path) -> None:
    """Remove the checkpoints of a run that starts anew or needs them no more."""
    for path in checkpoints(folder):
        shutil.rmtree(path, ignore_errors=True)
