"""The publisher that suits the model that is served."""

from __future__ import annotations

from pathlib import Path

from javis.engine.catalog import Choice
from javis.engine.convert import dense_path
from javis.versions.prove import Prover
from javis.versions.publish import Publisher


def publisher_for(models_dir: Path, choice: Choice, path: Path) -> Publisher:
    """`path` is the file or folder of the base that `choice` led to (`catalog.obtain`).

    On a graphics card nothing is tried out beforehand, as a second copy of a large model would be
    needed: the engine tries each version when it loads it, and only one that works is promoted.
    """
    if choice.engine == "llamacpp":
        return Publisher(models_dir, path, Prover(choice.model.id, dense_path(path), path))
    if choice.device == "cpu":
        return Publisher(models_dir, None, Prover(choice.model.id, path))
    return Publisher(models_dir)
