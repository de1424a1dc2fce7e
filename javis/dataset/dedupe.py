"""Texts that say nearly the same: MinHash on character n-grams, so it works without word borders.

A text is folded first (NFKC, case, no blanks, no sentence marks), so that `오늘 날씨 어때?` is
`오늘날씨 어때`. Texts with different numbers are never the same: `1월 5일` is not `1월 6일`.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash  # type: ignore[import-untyped]

NEAR = 0.8
"""Jaccard similarity of the n-grams from which on two texts say the same."""
BANDS, ROWS = 12, 5
MEET = 2
"""Bands in which two texts must meet before they are compared: 94 % of those 0.8 alike do, 99.9 %
of those 0.9 alike, 5 % of those half alike."""
MAX_CHARS = 2_000
"""Of a longer text, the beginning and the end are compared."""
MAX_LOOKS = 64
"""Texts that one is compared with; a flood of variants must not stop the program."""
_SEED = 42
_CHUNK = 2_000
_MERGE_AT = 4_096

_DROPPED = re.compile(r"""[\s.,!?;:'"()\[\]{}…~、。！？「」『』“”‘’·ㆍ]+""")
_DIGIT = re.compile(
    r"[\d\u00b2-\u00be\u2070-\u24ff\u2776-\u2793\u3200-\u33ff\U0001f100-\U0001f10a]"
)
"""Also circled digits and the like, which NFKC makes plain ones of."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")

Ids = NDArray[np.int64]
Hashes = NDArray[np.uint32]


def fold(text: str) -> str:
    """The text without what does not change its meaning."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _DROPPED.sub("", folded) or folded.strip()


def numbers(text: str) -> tuple[str, ...]:
    """The numbers in the text, in order."""
    if not _DIGIT.search(text):
        return ()
    return tuple(_NUMBER.findall(unicodedata.normalize("NFKC", text)))


def clip(text: str) -> str:
    """At most MAX_CHARS of it, taken from both ends."""
    if len(text) <= MAX_CHARS:
        return text
    half = MAX_CHARS // 2
    return text[:half] + text[-half:]


def ngrams(folded: str) -> list[str]:
    """Overlapping pieces of two syllables of Hangul or Han, or of three other characters."""
    start = folded[:100]
    # In UTF-8 a syllable of Hangul or Han has three bytes, a Latin letter one.
    size = 2 if len(start.encode("utf-8", "surrogatepass")) > 2 * len(start) else 3
    if len(folded) <= size:
        return [folded]
    return [folded[i : i + size] for i in range(len(folded) - size + 1)]


def resemblance(one: str, other: str) -> float:
    """Jaccard similarity of two folded texts, 0 to 1."""
    first, second = set(ngrams(clip(one))), set(ngrams(clip(other)))
    return len(first & second) / len(first | second)


def near_same(one: str, other: str) -> bool:
    """Whether two texts say nearly the same."""
    a, b = fold(one), fold(other)
    if a == b:
        return numbers(one) == numbers(other)
    shorter, longer = sorted((len(clip(a)), len(clip(b))))
    # Too different in length to be alike, whatever they say.
    if shorter < longer * NEAR - 4 or numbers(one) != numbers(other):
        return False
    return resemblance(a, b) >= NEAR


def salt_of(*parts: object) -> int:
    """A number for what must be equal in texts that are alike; the same in every process."""
    return zlib.crc32(repr(parts).encode("utf-8", "surrogatepass"))


class NearIndex:
    """Finds the ids of texts that may be alike; the caller looks closer at those.

    144 bytes for each text: sorted arrays, and dicts for what was added since.
    """

    def __init__(self) -> None:
        self._hashes: Hashes = np.empty((BANDS, 0), np.uint32)
        self._ids: Ids = np.empty((BANDS, 0), np.int64)
        self._new: dict[tuple[int, int], list[int]] = defaultdict(list)
        self._added = 0

    def add(self, items: Iterable[tuple[int, str, int]]) -> None:
        """Add (id, folded text, salt). The texts are not kept."""
        chunks = _chunks(items)
        first = next(chunks, [])
        if len(first) < _CHUNK // 10:
            for id_, folded, salt in first:
                for band, value in enumerate(_band_hashes([folded], [salt])[0].tolist()):
                    self._new[band, value].append(id_)
            self._added += len(first)
            if self._added > _MERGE_AT:
                self._merge()
            return
        ids: list[int] = []
        hashes: list[Hashes] = []
        for chunk in itertools.chain([first], chunks):
            ids += [id_ for id_, _, _ in chunk]
            texts, salts = [text for _, text, _ in chunk], [salt for *_, salt in chunk]
            hashes.append(_band_hashes(texts, salts))
        same_ids = np.broadcast_to(np.array(ids, np.int64), (BANDS, len(ids)))
        joined = np.concatenate(hashes).T
        hashes.clear()
        self._extend(joined, same_ids)

    def candidates(self, folded: str, salt: int) -> list[int]:
        """Ids that may be alike, the likeliest first, at most MAX_LOOKS."""
        met: dict[int, int] = defaultdict(int)
        for band, value in enumerate(_band_hashes([folded], [salt])[0].tolist()):
            row = self._hashes[band]
            key = np.uint32(value)
            start, end = np.searchsorted(row, key, "left"), np.searchsorted(row, key, "right")
            for id_ in self._ids[band, start : min(end, start + 4 * MAX_LOOKS)].tolist():
                met[id_] += 1
            for id_ in self._new.get((band, value), ())[: 4 * MAX_LOOKS]:
                met[id_] += 1
        good = [id_ for id_, count in met.items() if count >= MEET]
        return sorted(good, key=lambda id_: (-met[id_], id_))[:MAX_LOOKS]

    def pairs(self) -> Iterator[tuple[int, int]]:
        """All pairs that may be alike, each once."""
        self._merge()
        met: Counter[tuple[int, int]] = Counter()
        for band in range(BANDS):
            row, ids = self._hashes[band], self._ids[band]
            starts = np.flatnonzero(np.concatenate(([True], row[1:] != row[:-1])))
            ends = np.concatenate((starts[1:], [len(row)]))
            for at in np.flatnonzero(ends - starts > 1).tolist():
                run = sorted(ids[starts[at] : ends[at]].tolist())
                for i, one in enumerate(run):
                    # In a long run each meets the next few, which chain them together.
                    met.update((one, other) for other in run[i + 1 : i + 17])
        return (pair for pair, count in met.items() if count >= MEET)

    def keep(self, alive: Callable[[int], bool]) -> None:
        """Forget the ids that are not alive."""
        self._merge()
        there = {id_: alive(id_) for id_ in self._ids[0].tolist()} if len(self._ids[0]) else {}
        if all(there.values()):
            return
        good = np.array([id_ for id_, lives in there.items() if lives], np.int64)
        masks = np.isin(self._ids, good)
        self._hashes = np.stack([self._hashes[b][masks[b]] for b in range(BANDS)])
        self._ids = np.stack([self._ids[b][masks[b]] for b in range(BANDS)])

    def __len__(self) -> int:
        return len(self._ids[0]) + self._added

    def _merge(self) -> None:
        if not self._added:
            return
        columns: list[list[tuple[int, int]]] = [[] for _ in range(BANDS)]
        for (band, value), ids in self._new.items():
            columns[band] += [(value, id_) for id_ in ids]
        hashes = np.array([[value for value, _ in column] for column in columns], np.uint32)
        ids_ = np.array([[id_ for _, id_ in column] for column in columns], np.int64)
        self._new.clear()
        self._added = 0
        self._extend(hashes, ids_)

    def _extend(self, hashes: Hashes, ids: Ids) -> None:
        all_hashes = np.concatenate((self._hashes, hashes), axis=1)
        all_ids = np.concatenate((self._ids, ids), axis=1)
        for band in range(BANDS):
            order = np.argsort(all_hashes[band], kind="stable")
            all_hashes[band] = all_hashes[band][order]
            all_ids[band] = all_ids[band][order]
        self._hashes, self._ids = all_hashes, all_ids


def _chunks(items: Iterable[tuple[int, str, int]]) -> Iterator[list[tuple[int, str, int]]]:
    rest = iter(items)
    while chunk := list(itertools.islice(rest, _CHUNK)):
        yield chunk


_MIX = np.random.default_rng(_SEED).integers(1, 2**63, ROWS, dtype=np.uint64) | np.uint64(1)


def _band_hashes(texts: Sequence[str], salts: Sequence[int]) -> Hashes:
    """One row of BANDS hashes for each folded text."""
    sets = [ngrams(clip(text)) for text in texts]
    matrix = RMinHash.digest_matrix_from_token_sets(sets, BANDS * ROWS, _SEED)
    values = np.array(matrix.to_rows(), np.uint64).reshape(len(texts), BANDS, ROWS)
    mixed = (values * _MIX).sum(axis=2, dtype=np.uint64)
    mixed ^= np.array(salts, np.uint64)[:, None] * np.uint64(0x9E3779B97F4A7C15)
    hashes: Hashes = (mixed >> np.uint64(32)).astype(np.uint32)
    return hashes
