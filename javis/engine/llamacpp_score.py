"""How likely an answer is, asked of llama.cpp's server, which tells it only of tokens it writes.

So each token of the answer is asked for in turn: one request of one token, which a bias makes
certain, with everything before it still in the slot's cache. The probability that comes back is
the model's own, from before the bias and all sampling. Measured: as fast as writing the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from javis.core.errors import EngineError
from javis.core.evaluation import Likelihood

FLOOR = -100.0
"""Log-probability of what llama.cpp calls impossible: its numbers end at about -103."""
_CERTAIN = 200.0
"""A bias that no logit comes up to."""
_AHEAD = 30.0
"""How much more likely the token that may be shown is made than one that may not."""
_LOOK = 20


class Server(Protocol):
    """What is needed of the native server."""

    def complete(
        self,
        request: dict[str, Any],
        callback: Callable[[Any], bool],
        ending: Callable[[], bool],
    ) -> None: ...


class Scorer:
    """Weighs answers on one native server, with one adapter."""

    def __init__(
        self,
        server: Server,
        lora: Sequence[dict[str, Any]],
        plain: int,
        torn: set[int],
        ending: Callable[[], EngineError | None],
    ) -> None:
        """`plain` is any token that is whole text; `torn` collects those that are not; `ending`
        gives the error to end with as soon as there is one."""
        self._server = server
        self._lora = list(lora)
        self._plain = plain
        self._torn = torn
        self._ending = ending

    def likelihood(self, ids: Sequence[int], start: int) -> Likelihood:
        """Of `ids[start:]` after `ids[:start]`. EngineError when it fails or was stopped."""
        known = list(ids[:start])
        nll = 0.0
        for token in ids[start:]:
            nll -= self._log_probability(known, token)
            known.append(token)
        return Likelihood(nll, len(ids) - start)

    def _log_probability(self, known: list[int], token: int) -> float:
        if token not in self._torn:
            shown = self._ask(known, n_probs=1, logit_bias=[[token, _CERTAIN]])
            if shown is not None:
                return max(FLOOR, float(shown["logprob"]))
            self._torn.add(token)
        return self._of_torn(known, token)

    def _of_torn(self, known: list[int], token: int) -> float:
        """Of a token that begins a character and does not end it: the server says nothing of such
        a token when it is the last one. Another one is asked for, and the two are compared."""
        shown = self._ask(known, n_probs=_LOOK, logit_bias=[[self._plain, _CERTAIN]])
        if shown is None:
            raise EngineError("engine_failed", "The model failed: {e}", e="no probabilities")
        for other in shown["top_logprobs"]:
            if other["id"] == token:
                return max(FLOOR, float(other["logprob"]))
        pair = self._ask(
            known,
            n_probs=2,
            post_sampling_probs=True,
            samplers=["top_k", "temperature"],
            top_k=2,
            logit_bias=[[token, _CERTAIN], [self._plain, _CERTAIN + _AHEAD]],
        )
        odds = {p["id"]: float(p["prob"]) for p in pair["top_probs"]} if pair else {}
        if not odds.get(token) or not odds.get(self._plain):
            return FLOOR
        ratio = math.log(odds[token] / odds[self._plain]) + _AHEAD
        return max(FLOOR, float(shown["logprob"]) + ratio)

    def _ask(self, known: list[int], **options: Any) -> dict[str, Any] | None:
        """What the server says of one more token; None when it keeps silent about it."""
        request = {
            "prompt": known,
            "n_predict": 1,
            "stream": True,
            "return_progress": True,
            "cache_prompt": True,
            "temperature": 1.0,
            "lora": self._lora,
        }
        events: list[Any] = []

        def ending() -> bool:
            return self._ending() is not None

        def on_event(event: Any) -> bool:
            events.append(event)
            return ending()

        self._check()
        self._server.complete(request | options, on_event, ending)
        self._check()
        return _content(events)

    def _check(self) -> None:
        if (error := self._ending()) is not None:
            raise error


def _content(events: Sequence[Any]) -> dict[str, Any] | None:
    """The entry of the one token in what the server sent."""
    for event in events:
        if not isinstance(event, dict) or "choices" not in event:
            text = event.get("error", event) if isinstance(event, dict) else event
            text = text.get("message", text) if isinstance(text, dict) else text
            raise EngineError("engine_failed", "The model failed: {e}", e=text)
        for choice in event["choices"]:
            for entry in (choice.get("logprobs") or {}).get("content") or ():
                found: dict[str, Any] = entry
                return found
    return None
