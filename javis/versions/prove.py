"""Trying a staged version out before it is published: does it change what the model says, and do
PEFT and llama.cpp agree by how much?

It loads the base model twice, so it runs in a process of its own: the server's stays small, and a
crash of a native library on a strange file stays there too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import javis
from javis.core.errors import JavisError, VersionError
from javis.core.types import Version
from javis.engine.gguf_header import read_header
from javis.versions.disk import remove_tree

if TYPE_CHECKING:
    from javis.engine.probe import Probe

TOP = 50
"""Tokens looked at after each prompt: the likeliest of the base and of the adapted model."""
RELATIVE, ABSOLUTE = 0.02, 0.0005
"""The two engines may differ in an adapter's effect on a log-probability by 2 % of it and 0.0005
nats (root mean square over the tokens). With the embedded model in 32 bits they differ by less
than 0.1 %; without the rotary permutation of the query and key rows by 25 to 74 %."""
_EXACT_PARAMETERS = 1_500_000_000
"""Larger models are not written out in 32 bits for this (6 GB)."""
_WAIT_S = 900.0
_SCRATCH = "proof"
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TEMP", "SYSTEMROOT", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True)
class Prover:
    """Runs this module on a staged folder; hand it to a Publisher as `prove`."""

    model: str
    """Id of the base model."""
    dense: Path
    """The base as a transformers folder; made from `base_gguf` when it is not there."""
    base_gguf: Path | None = None

    def __call__(self, folder: Path) -> Mapping[str, Any]:
        """What was measured. Raises VersionError with the reason when the version is no good."""
        arguments = [str(folder), "--model", self.model, "--dense", str(self.dense)]
        if self.base_gguf:
            arguments += ["--base-gguf", str(self.base_gguf)]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "javis.versions.prove", *arguments],
                capture_output=True,
                timeout=_WAIT_S,
                env=_environment(),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _failed(f"it took longer than {_WAIT_S:.0f} s.") from None
        finally:
            remove_tree(folder / _SCRATCH)
        return _answer(done)


def _answer(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    try:
        found = json.loads(lines[-1])
    except (IndexError, ValueError):
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
        raise _failed(f"the trial ended with {done.returncode}. {last[0][:300]}") from None
    if "refused" in found:
        raise VersionError("version_not_for_engine", "{why}", why=str(found["refused"]))
    return dict(found)


def _failed(why: str) -> VersionError:
    return VersionError("proof_failed", "The new version could not be tried out: {why}", why=why)


def _environment() -> dict[str, str]:
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    fixed = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "OMP_WAIT_POLICY": "passive"}
    return {**passed, **fixed, "PYTHONPATH": str(Path(javis.__file__).resolve().parents[1])}


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far an adapter moves log-probabilities (nats, root mean square), worst prompt first."""

    effect: float
    """By PEFT."""
    difference: float
    """Between PEFT and llama.cpp."""
    allowed: float


def compare(peft: Probe, llama: Probe) -> Agreement:
    """Hold the effects in both engines against each other, prompt by prompt."""
    import numpy as np  # heavy

    found = []
    for row in range(len(peft.prompts)):
        likely = np.concatenate([np.argsort(-p[row])[:TOP] for p in (peft.base, peft.adapted)])
        top = np.unique(likely)
        ours = (peft.adapted - peft.base)[row, top]
        theirs = (llama.adapted - llama.base)[row, top]
        known = np.isfinite(theirs)
        if known.sum() < TOP // 2:
            raise _refused("llama.cpp does not find likely what PEFT does.")
        ours, theirs = ours[known], theirs[known]
        if not theirs.any():
            raise _refused("In llama.cpp it changes nothing.")
        effect, difference = (float(np.sqrt((x**2).mean())) for x in (ours, ours - theirs))
        found.append(Agreement(effect, difference, RELATIVE * effect + ABSOLUTE))
    return max(found, key=lambda a: a.difference / a.allowed)


def _refused(sentence: str) -> VersionError:
    return VersionError("version_not_for_engine", "{why}", why=sentence)


def prove(folder: Path, model: str, dense: Path, base_gguf: Path | None) -> dict[str, Any]:
    """Measure a staged version. Raises VersionError when it is no good."""
    import numpy as np  # heavy, as what follows

    from javis.engine.convert import dense_copy
    from javis.engine.probe import probe_llama, probe_peft

    started = time.monotonic()
    if base_gguf and not (dense / "config.json").is_file():
        dense_copy(base_gguf, dense)
    peft = probe_peft(dense, Version(folder.name, str(folder), model, None))
    measured: dict[str, Any] = {
        "prompts": len(peft.prompts),
        "largest_change": float(np.abs(peft.adapted - peft.base).max()),
    }
    adapter = folder / "adapter.gguf"
    if base_gguf and adapter.is_file():
        exact = read_header(base_gguf).parameters <= _EXACT_PARAMETERS
        served = _in_32_bits(base_gguf, folder / _SCRATCH) if exact else base_gguf
        agreement = compare(peft, probe_llama(served, adapter, peft))
        if exact and agreement.difference > agreement.allowed:
            raise _refused(
                f"PEFT and llama.cpp do not agree on it: its effect of {agreement.effect:.4f} nats "
                f"differs by {agreement.difference:.4f}, at most {agreement.allowed:.4f} is "
                "possible."
            )
        # Against a quantized base the numbers are only noted: its rounding hides small effects.
        measured["parity"] = asdict(agreement) | {"exact": exact}
    return measured | {"seconds": round(time.monotonic() - started, 1)}


def _in_32_bits(base_gguf: Path, scratch: Path) -> Path:
    """The base without the rounding of its quantized arithmetic, for as long as this runs."""
    from javis.engine.convert import requantize  # heavy: numpy

    scratch.mkdir()
    return requantize(base_gguf, scratch / "base.gguf", "F32")


def main() -> None:
    """`python -m javis.versions.prove FOLDER --model ID --dense FOLDER [--base-gguf FILE]`"""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--dense", type=Path, required=True)
    parser.add_argument("--base-gguf", type=Path)
    options = parser.parse_args()
    if hasattr(os, "nice"):
        os.nice(10)  # The chat goes first.
    try:
        found = prove(options.folder, options.model, options.dense, options.base_gguf)
    except JavisError as error:
        found = {"refused": str(error)}
    sys.stdout.write(f"\n{json.dumps(found)}\n")


if __name__ == "__main__":
    main()
