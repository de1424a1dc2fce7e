"""The set-up script: what it says when something is wrong. CI runs it for real."""

from __future__ import annotations

import subprocess
import sys
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
    nowhere = ["--index-url", "http://127.0.0.1:9/simple", "--retries", "0", "--timeout", "2"]
    with pytest.raises(launch.SetupError, match="could not be reached"):
        launch.pip(Path(sys.executable), ["install", *nowhere, "javis-no-such-package"])
    assert (tmp_path / ".venv-install.log").exists()


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
        ([], ["javis.cli", "serve"]),
        (["--port", "1"], ["javis.cli", "serve", "--port", "1"]),
        (["doctor"], ["javis.cli", "doctor"]),
        (["--help"], ["javis.cli", "--help"]),
    ],
)
def test_arguments_reach_javis(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], command: list[str]
) -> None:
    ran: list[list[str]] = []

    def run(line: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        ran.append(line)
        return subprocess.CompletedProcess(line, 0)

    monkeypatch.setattr(subprocess, "run", run)
    assert launch.run(Path("python"), arguments) == 0
    assert ran == [[Path("python"), "-m", *command]]
