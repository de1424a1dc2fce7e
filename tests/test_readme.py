"""Every command of the README runs, here or in CI, and both languages show the same ones."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from javis.store import open_store
from javis.window import open_window
from tests.live import ROOT, Live

IN_CI = {"python launch.py", "python launch.py test"}
"""`.ci/run` starts the second, which sets up all that the first needs; test_product the chat."""
WITH_A_SERVER = {
    "JAVIS_PASSWORD='…' python launch.py --host 0.0.0.0": "tests/api/test_auth.py",
    "python launch.py --window": "below",
}
REFUSED_HERE = {
    "python launch.py --model Qwen2.5-1.5B-Instruct": "is not on this computer",
    "python launch.py --model ~/Downloads/some-chat-model.gguf": "no model file",
    "python launch.py train": "are missing",
    "python launch.py take-in edited.jsonl": "edited.jsonl",
    "python launch.py promote v1.0": "no version v1.0",
    "python launch.py compare v1.0 base": "v1.0",
    "python launch.py rollback": "no earlier version",
    "python launch.py import-adapter adapter.zip": "no file",
}
"""Need the network, a file or ratings of the user's: here they must end in a plain sentence. That
they work is tested in tests/service/test_train_command.py and tests/versions/test_commands.py."""


def commands(file: str) -> list[str]:
    """The lines of the bash blocks, without comments, with the password made equal."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / file).read_text("utf-8"), re.S)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [re.sub(r"(JAVIS_PASSWORD=)'[^']*'", r"\1'…'", line) for line in lines if line]


def runnable() -> list[str]:
    skip = IN_CI | set(WITH_A_SERVER) | set(REFUSED_HERE)
    return [c for c in commands("README.md") if c not in skip]


def run(command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    arguments = [str(Path(a).expanduser()) if a[0] == "~" else a for a in shlex.split(command)[2:]]
    if arguments[0].startswith("-"):
        arguments = ["serve", "--no-browser", "--port", "0", *arguments]
    return subprocess.run(
        [sys.executable, "-m", "javis", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "JAVIS_OFFLINE": "1",
            "JAVIS_MODELS_DIR": str(ROOT / "models"),
            **environment,
        },
    )


def test_both_languages_show_the_same_commands() -> None:
    assert commands("README.md") == commands("README.ko.md")


def test_ci_runs_the_test_command() -> None:
    assert "launch.py test" in (ROOT / ".ci/run").read_text("utf-8")
    assert set(commands("README.md")) >= IN_CI | set(REFUSED_HERE)


@pytest.mark.parametrize("command", runnable())
def test_a_command_of_the_readme_runs(command: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    open_store(tmp_path / "data" / "javis.jnl").close()
    done = run(command, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("command", REFUSED_HERE)
def test_what_cannot_run_here_says_why(command: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    open_store(tmp_path / "data" / "javis.jnl").close()
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "base").symlink_to(ROOT / "models" / "base")
    done = run(command, tmp_path, JAVIS_MODELS_DIR=str(tmp_path / "models"))
    assert done.returncode == 1
    assert REFUSED_HERE[command] in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("file", ["README.md", "README.ko.md"])
def test_pictures_and_links_exist(file: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", (ROOT / file).read_text("utf-8"))
    missing = [t for t in targets if not t.startswith("http") and not (ROOT / t).exists()]
    assert missing == []


def test_the_program_of_the_readme_runs(tmp_path: Path, embedded_gguf: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    live = Live(tmp_path / "data")
    try:
        program = program.replace("http://127.0.0.1:7860", live.address)
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
        )
        assert done.stdout.strip()
    finally:
        live.kill(signal.SIGTERM)


def test_a_window_is_a_browser_in_application_mode(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "chromium"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + "/bin")
    opened = open_window("http://127.0.0.1:1/", tmp_path / "profile", print)
    opened.wait(10)
    said = (tmp_path / "arguments").read_text()
    assert "--app=http://127.0.0.1:1/" in said
    assert f"--user-data-dir={tmp_path / 'profile'}" in said
