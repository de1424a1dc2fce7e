#!/usr/bin/env python3
"""Sets JAVIS up and starts it.

    python launch.py            makes the environment, installs what is missing, opens the chat
    python launch.py test       the same, then runs the whole test suite
    python launch.py doctor     (or any other `javis` command) the same, then that command

Uses the standard library alone, as it runs before anything is installed. Outside a virtual
environment it makes `.venv` beside this file; inside one it uses that. A second start finds
everything in place and needs no network.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
OLDEST_PYTHON = (3, 11)
NEEDED_GIB = 3
CPU_TORCH = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index of builds without CUDA: 0.2 GB where the ordinary Linux build has 3."""
KNOWN_FAULTS = (
    (("No space left on device", "Errno 28"),
     "The disk is full. Free some space and start again; what was downloaded is kept."),
    (("Temporary failure in name resolution", "Network is unreachable", "ConnectTimeout",
      "NewConnectionError", "Connection refused", "connection broken by",
      "Max retries exceeded", "getaddrinfo failed"),
     "The package server could not be reached. The first start needs the internet; "
     "check the connection (or the proxy) and start again."),
    # After the network: pip ends with this line when it reached no server, too.
    (("No matching distribution found", "have no matching distributions",
      "requires a different Python"),
     "There is no package for this Python ({python}) on this computer. JAVIS needs "
     "Python 3.11 to 3.14, on Linux (not Alpine), a Mac with an Apple chip or 64-bit Windows "
     "(not ARM). Get such a Python from python.org, delete the folder .venv and start with it."),
    (("Permission denied", "Errno 13"),
     "A file could not be written. Check that this folder belongs to you."),
)  # fmt: skip


class SetupError(Exception):
    """Why the set-up stopped, in plain words."""


def main(arguments: list[str]) -> int:
    try:
        python = environment()
        install(python, with_tests=arguments[:1] == ["test"])
    except SetupError as error:
        print(f"\nJAVIS could not be set up.\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Start again at any time; what is done is kept.", file=sys.stderr)
        return 130
    return run(python, arguments)


def environment() -> Path:
    """The Python of the virtual environment, made when there is none."""
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(
            f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed; this is "
            f"{sys.version.split()[0]}. Get it from python.org and start with it."
        )
    if sys.prefix != sys.base_prefix:
        return Path(sys.executable)
    folder = ROOT / ".venv"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    # One that an older Python made works, but has no packages.
    if version_of(python) >= OLDEST_PYTHON:
        return python
    say("Making the environment in .venv …")
    try:
        # A half-made environment of an interrupted start is made anew.
        venv.EnvBuilder(with_pip=True, clear=True, symlinks=os.name != "nt").create(folder)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(
            f"The environment could not be made: {explain(str(error))}\n"
            "On Debian and Ubuntu this usually helps: sudo apt install python3-venv"
        ) from None
    return python


def version_of(python: Path) -> tuple[int, ...]:
    """The version its pip names, (3, 11); nothing when either is missing or broken."""
    try:
        done = subprocess.run(
            [python, "-m", "pip", "--version"], capture_output=True, text=True,
            errors="replace", check=False,
        )  # fmt: skip
    except OSError:
        return ()
    found = re.search(r"\(python (\d+)\.(\d+)\)", done.stdout)
    return tuple(map(int, found.groups())) if found and not done.returncode else ()


def install(python: Path, *, with_tests: bool) -> None:
    """Install the pinned requirements unless exactly these are installed already."""
    lists = [ROOT / "requirements.txt"] + [ROOT / "requirements-dev.txt"] * with_tests
    for file in lists:
        stamp = python.parent.parent / f".javis-{file.stem}"
        wanted = hashlib.sha256(file.read_bytes()).hexdigest()
        if stamp.exists() and stamp.read_text() == wanted:
            continue
        free = shutil.disk_usage(stamp.parent).free / 2**30
        if file.stem == "requirements" and free < NEEDED_GIB:
            raise SetupError(f"{NEEDED_GIB} GB of disk are needed; {free:.1f} GB are free.")
        say(f"Installing {file.name}: a few minutes on the first start …")
        pip(python, ["install", "-r", str(file), *torch_index()])
        stamp.write_text(wanted)


def torch_index() -> list[str]:
    """The index with the small build, where it fits and answers."""
    if not sys.platform.startswith("linux") or shutil.which("nvidia-smi"):
        return []
    try:
        with urllib.request.urlopen(f"{CPU_TORCH}/torch/", timeout=5):  # noqa: S310 - https above
            return ["--extra-index-url", CPU_TORCH]
    except (urllib.error.URLError, OSError):
        return []


def pip(python: Path, arguments: list[str]) -> None:
    """Run pip with one line of progress; on failure say why in plain words."""
    command = [python, "-u", "-m", "pip", "--disable-pip-version-check", *arguments]
    log = ROOT / ".venv-install.log"
    tail: list[str] = []
    with (
        log.open("w", encoding="utf-8") as copy,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, encoding="utf-8", errors="replace",
        ) as process,
    ):  # fmt: skip
        for line in process.stdout or ():
            copy.write(line)
            tail = [*tail[-40:], line.rstrip()]
            if line.startswith(("Collecting ", "Downloading ", "Installing ", "Building ")):
                progress(line.strip())
    progress("")
    if process.returncode:
        text = "\n".join(tail)
        reason = explain(text).replace("{python}", ".".join(map(str, version_of(python))))
        raise SetupError(f"{reason}\nThe whole log: {log}\n\n" + "\n".join(tail[-6:]))
    log.unlink(missing_ok=True)


def explain(text: str) -> str:
    for signs, sentence in KNOWN_FAULTS:
        if any(sign in text for sign in signs):
            return sentence
    return "An unexpected error: " + (text.strip().splitlines() or ["no message"])[-1]


def run(python: Path, arguments: list[str]) -> int:
    """Hand over to `javis` (or pytest) inside the environment."""
    environ = {**os.environ, "PYTHONPATH": joined(str(ROOT), os.environ.get("PYTHONPATH"))}
    if arguments[:1] == ["test"]:
        os.chdir(ROOT)
        fetch = [python, "-m", "javis", "fetch", "--models-dir", ROOT / "models"]
        if code := subprocess.run(fetch, env=environ, check=False).returncode:
            return code
        # Half of the time one process waits for a browser, which leaves a core idle. Each test goes
        # to the process that is free (`loadgroup`: in their order, one by one).
        both = ["-n", "2", "--dist", "loadgroup"] if not arguments[1:] else []
        command: list[str | Path] = [python, "-m", "pytest", *both, *arguments[1:]]
    else:
        if arguments[:1] == ["-h"]:
            arguments = ["--help"]
        serve = not arguments or (arguments[0].startswith("-") and arguments[0] != "--help")
        # Its own folders lie here; what is named on the command line, where it was typed.
        environ["JAVIS_HOME"] = str(ROOT)
        # -P: no module of a folder that happens to be the current one.
        command = [python, "-P", "-m", "javis", *(["serve"] if serve else []), *arguments]
    return hand_over(command, environ)


def hand_over(command: list[str | Path], environ: dict[str, str]) -> int:
    """Become the command: signals reach it itself, and it takes the time its end needs."""
    sys.stdout.flush()
    if os.name == "posix":
        os.execve(command[0], command, environ)  # noqa: S606 - no shell is the point
    return accompany(command, environ)


def accompany(command: list[str | Path], environ: dict[str, str]) -> int:
    """Wait for the command, where none can be become: Windows would leave the shell at once."""
    with subprocess.Popen(command, env=environ) as process:
        # Ctrl+C reaches both. `subprocess.run` would kill the command a quarter second later,
        # in the middle of what it stores.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return process.wait()


def joined(*parts: str | None) -> str:
    return os.pathsep.join(p for p in parts if p)


def say(text: str) -> None:
    print(text, flush=True)


def progress(text: str) -> None:
    """One line that is written over, or nothing where output goes to a file."""
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns - 1
        print("\r" + text[:width].ljust(width) + ("\r" if not text else ""), end="", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
