"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

from javis.engine.files import atomic_file, atomic_folder, sweep


def test_what_crashed_writers_left_is_deleted_after_a_day(tmp_path: Path) -> None:
    inner = tmp_path / "SmolLM2"
    with atomic_file(tmp_path / "a.gguf") as file, atomic_folder(inner / "b.dense") as folder:
        crashed = [
            tmp_path / file.name.replace(".a.", ".x."),
            inner / folder.name.replace(".b.", ".y."),
        ]
        crashed[0].write_bytes(b"half")
        crashed[1].mkdir()
        (crashed[1] / "config.json").write_text("{}")
        goes_on = tmp_path / ".Qwen2.5-7B-Instruct.part"
        goes_on.mkdir()
        two_days_ago = time.time() - 2 * 86_400
        for path in (*crashed, goes_on):
            os.utime(path, (two_days_ago, two_days_ago))
        assert sweep(tmp_path) == sorted(path.name for path in crashed)
        assert file.exists() and folder.exists() and goes_on.exists()
    assert sweep(tmp_path / "nowhere") == []
