"""How threads wait for each other inside llama.cpp and torch. To be set before either is loaded.

Both use GNU OpenMP, whose threads meet some hundred times for each token. Asleep at once, they
lose a third of the speed to being woken; spinning for milliseconds, as is its default, they stand
still as soon as another program wants a core. Spinning for some microseconds has the best of both
(two cores, the embedded model, tok/s on a quiet machine and beside one busy process): asleep at
once 46 and 30, spinning 300 times 67 and 27, 10,000 times 61 to 73 and 6, 100,000 times 75 and 1.5.
"""

from __future__ import annotations

import os

SPINS = "300"


def let_threads_rest() -> None:
    """Choose for this process and its children, unless its user has chosen."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
