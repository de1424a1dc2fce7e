"""Which known text is closest in meaning to a new one."""

from __future__ import annotations

import hashlib
import threading
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from javis.engine.files import atomic_file
from javis.knowledge.embedder import DIMENSIONS, Vectors

BATCH = 8


class Embedder(Protocol):
    def embed(self, texts: Sequence[str]) -> Vectors: ...


class VectorCache:
    """Vectors of texts, remembered in one file. Losing the file costs time only."""

    def __init__(self, path: Path, embedder: Embedder) -> None:
        self._path = path
        self._embedder = embedder
        self._lock = threading.Lock()
        self._known: dict[str, Vectors] = _load(path)

    def known(self, text: str) -> Vectors | None:
        """The text's vector if it was learned."""
        return self._known.get(_key(text))

    def learn(self, texts: Sequence[str]) -> None:
        """Embed those that are new, a few at a time, and save them."""
        with self._lock:
            new = {k: t for t in texts if (k := _key(t)) not in self._known}
            if not new:
                return
            keys = list(new)
            for start in range(0, len(keys), BATCH):
                batch = keys[start : start + BATCH]
                rows = self._embedder.embed([new[k] for k in batch])
                self._known.update(zip(batch, rows, strict=True))
            self._save()

    def forget_all_but(self, texts: Sequence[str]) -> None:
        """Keep only the vectors of these texts."""
        keep = {_key(t) for t in texts}
        with self._lock:
            if len(keep) < len(self._known):
                self._known = {k: v for k, v in self._known.items() if k in keep}
                self._save()

    def closest(self, text: str, among: Mapping[str, str]) -> list[tuple[str, float]]:
        """Ids of `among` (id to text) whose vectors are known, with their cosine, best first."""
        found = [(id_, row) for id_, t in among.items() if (row := self.known(t)) is not None]
        if not found:
            return []
        query = self.known(text)
        if query is None:
            query = self._embedder.embed([text])[0]
        cosines = np.stack([row for _, row in found]) @ query
        order = np.argsort(-cosines, kind="stable")
        return [(found[i][0], float(cosines[i])) for i in order]

    def _save(self) -> None:
        rows = np.stack(list(self._known.values())) if self._known else _none()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self._path) as temporary, temporary.open("wb") as handle:
            np.savez(handle, keys=np.array(list(self._known), dtype="U64"), rows=rows)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _none() -> Vectors:
    return np.zeros((0, DIMENSIONS), np.float32)


def _load(path: Path) -> dict[str, Vectors]:
    try:
        # Opened here: numpy leaves a damaged file open.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
            keys, rows = file["keys"], file["rows"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return {}  # missing or damaged: it is made anew from the texts
    if rows.shape != (len(keys), DIMENSIONS) or not np.isfinite(rows).all():
        return {}
    return {str(key): row for key, row in zip(keys, rows.astype(np.float32), strict=True)}
