"""Reads all rated turns when the program starts, so that the first who asks need not wait."""

from __future__ import annotations

import logging
import threading

from javis.core.errors import StoreError
from javis.service.review import ReviewService

LOG = logging.getLogger("javis.review")


class Warming:
    """Goes on in a thread of its own; that the program ends meanwhile is no failure."""

    def __init__(self, review: ReviewService) -> None:
        self._review = review
        self._stopped = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._run, name="review", daemon=True).start()

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        try:
            self._review.warm()
        except StoreError as error:
            if not self._stopped.is_set():
                LOG.warning("the rated turns could not be read: %s", error)
