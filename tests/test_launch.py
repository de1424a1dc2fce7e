"""The set-up script: what it says when something is wrong. CI runs it for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import launch

ROOT = Path(launch.__file__).parent


def test_it_needs_only_the_standard_library() -> None:
    code = (
        "import sys, launch; loaded = list(sys.modules.values()); "
        "print([m for m in loaded if 'site-packages' in str(getattr(m, '__file__', ''))])"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"


def test_an_old_python_is_told_which_one_is_needed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(launch, "OLDEST_PYTHON", (9, 9))
    assert launch.main([]) == 1
    assert "Python 9.9 or newer is needed" in capsys.readouterr().err


def test_a_full_disk_is_told_before_the_download(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(launch, "NEEDED_GIB", 10**9)
    with pytest.raises(launch.SetupError, match="GB of disk are needed"):
        launch.install(tmp_path / "bin" / "python", with_tests=False)


def test_no_network_is_told_in_plain_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(launch, "ROOT", tmp_path)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    nowhere = ["--index-url", "http://127.0.0.1:9/simple", "--retries", "1", "--timeout", "2"]
    with pytest.raises(launch.SetupError, match="could not be reached"):
        launch.pip(Path(sys.executable), ["install", *nowhere, "javis-no-such-package"])
    assert (tmp_path / ".venv-install.log").exists()


def test_a_missing_package_is_not_blamed_on_the_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The index answers and has nothing for this Python."""
    monkeypatch.setattr(launch, "ROOT", tmp_path)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "torch-2.13.0-cp38-cp38-win_arm64.whl").touch()
    here = ["--no-index", "--find-links", str(tmp_path)]
    with pytest.raises(launch.SetupError) as told:
        launch.pip(Path(sys.executable), ["install", *here, "--target", str(tmp_path), "torch"])
    version = ".".join(map(str, sys.version_info[:2]))
    assert f"no package for this Python ({version}) on this computer" in str(told.value)
    assert "Python 3.11 to 3.14" in str(told.value)


def test_an_offline_pip_is_told_by_its_retries() -> None:
    """It says in the end that there is no package, too."""
    retry = "WARNING: Retrying (Retry(total=0)) after connection broken by 'ReadTimeoutError()'"
    last = "ERROR: No matching distribution found for torch==2.13.0"
    assert "could not be reached" in launch.explain(f"{retry}\n{last}")
    assert "no package for this Python" in launch.explain(last)


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands in for Python")
@pytest.mark.parametrize(("version", "kept"), [("3.10", False), ("3.11", True), ("broken", False)])
def test_an_environment_of_too_old_a_python_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, kept: bool
) -> None:
    made: list[Path] = []

    class Builder:
        def __init__(self, **_: object) -> None: ...

        def create(self, folder: Path) -> None:
            made.append(folder)

    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\necho 'pip 23.0 from /x/pip (python {version})'\n")
    python.chmod(0o755)
    monkeypatch.setattr(launch, "ROOT", tmp_path)
    monkeypatch.setattr(launch.venv, "EnvBuilder", Builder)
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert launch.environment() == python
    assert made == ([] if kept else [tmp_path / ".venv"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("Temporary failure in name resolution", "could not be reached"),
        ("[Errno 13] Permission denied: '/x'", "could not be written"),
        ("something else", "something else"),
    ],
)
def test_known_faults_get_a_plain_sentence(text: str, sentence: str) -> None:
    assert sentence in launch.explain(text)


def test_what_is_installed_is_not_installed_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(launch, "pip", lambda python, arguments: calls.append(arguments))
    monkeypatch.setattr(launch, "torch_index", list)
    monkeypatch.setattr(launch, "NEEDED_GIB", 0)
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    launch.install(python, with_tests=True)
    assert len(calls) == 2
    launch.install(python, with_tests=True)
    assert len(calls) == 2
    (tmp_path / ".javis-requirements").write_text("an older list")
    launch.install(python, with_tests=True)
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ([], ["javis", "serve"]),
        (["--port", "1"], ["javis", "serve", "--port", "1"]),
        (["doctor"], ["javis", "doctor"]),
        (["--help"], ["javis", "--help"]),
    ],
)
def test_arguments_reach_javis(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], command: list[str]
) -> None:
    ran: list[list[str]] = []

    def hand_over(line: list[str], environ: dict[str, str]) -> int:
        ran.append(line)
        return 0

    monkeypatch.setattr(launch, "hand_over", hand_over)
    assert launch.run(Path("python"), arguments) == 0
    assert ran == [[Path("python"), "-P", "-m", *command]]


def test_what_is_named_lies_where_it_was_typed_and_the_rest_at_home(tmp_path: Path) -> None:
    """As in `cd ~/Documents; python ~/javis/launch.py …`, beside a module that is in the way."""
    home, here = tmp_path / "home", tmp_path / "here"
    for folder in (home, here):
        folder.mkdir()
    (home / ".env").write_text("JAVIS_EXPORTS_DIR=sent\n")
    (here / "typer.py").write_text("raise SystemExit('not this one')")
    (here / "chat.gguf").touch()
    look = (
        "import sys; from javis.cli import settings_from; from pathlib import Path;"
        "s = settings_from(models_dir=Path('mine'), model='chat.gguf');"
        "print(s.data_dir, s.models_dir, s.exports_dir, s.model, sep='\\n')"
    )
    code = (
        "import pathlib, sys, launch; launch.ROOT = pathlib.Path(sys.argv[1]);"
        f"launch.hand_over = lambda line, environ: launch.os.execve(line[0], "
        f"[line[0], '-P', '-c', {look!r}], environ);"
        "launch.run(pathlib.Path(sys.executable), [])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(home)],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = [home / "data", here / "mine", home / "sent", here / "chat.gguf"]
    assert done.stdout.splitlines() == list(map(str, wanted))


SLOW_END = """
import pathlib, signal, sys, time

def end(*_):
    time.sleep(1)
    pathlib.Path("stored").touch()
    sys.exit(7)

signal.signal(signal.SIGINT, end)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(30)
"""
RUN = "launch.run(pathlib.Path(sys.executable), [])"
ACCOMPANY = "launch.accompany([sys.executable, '-m', 'javis'], {**os.environ})"


def press_ctrl_c(pid: int) -> None:
    """A terminal sends it to every process it shows."""
    os.killpg(pid, signal.SIGINT)


def terminate(pid: int) -> None:
    """A service manager, or `kill`, knows the one that was started."""
    os.kill(pid, signal.SIGTERM)


@pytest.mark.skipif(os.name != "posix", reason="process groups")
@pytest.mark.parametrize(
    ("start", "stop"), [(RUN, press_ctrl_c), (RUN, terminate), (ACCOMPANY, press_ctrl_c)]
)
def test_javis_ends_in_its_own_time(
    tmp_path: Path, start: str, stop: Callable[[int], None]
) -> None:
    """A stand-in for JAVIS that needs a second to store what it has."""
    (tmp_path / "javis").mkdir()
    (tmp_path / "javis" / "__init__.py").touch()
    (tmp_path / "javis" / "__main__.py").write_text(SLOW_END)
    code = f"import os, pathlib, sys, launch; launch.ROOT = pathlib.Path.cwd(); sys.exit({start})"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        stop(process.pid)
        assert process.wait(20) == 7
    assert (tmp_path / "stored").exists()
