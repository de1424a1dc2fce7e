"""The native server of llama.cpp (xllamacpp) in this process, and its tokenizer."""

from __future__ import annotations

import itertools
import json
import secrets
import threading
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from javis.core.errors import EngineError
from javis.engine.gguf_meta import GgufMeta
from javis.engine.llamacpp_slots import Places
from javis.engine.template import remember_short
from javis.engine.waiting import let_threads_rest

BATCH_TOKENS = 256
"""Tokens of a prompt read at once: a stop during the reading takes effect between two batches."""
Q8_BLOCK = 32
"""Numbers that share a scale in llama.cpp's 8-bit format."""
COPIED_BYTES = 512 << 20
"""A larger file is mapped: two servers share its memory while a new version is loaded."""
CLOSE_S = 5.0
"""How long closing waits for running answers: they end within a token, or a batch of a prompt."""


class NativeServer:
    """A native server with a fixed set of adapters."""

    def __init__(
        self,
        path: Path,
        adapters: Mapping[str, Path],
        *,
        context: int,
        parallel: int,
        threads: int,
        key_length: int,
    ) -> None:
        let_threads_rest()
        import xllamacpp  # heavy: loads the native library

        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = context * parallel
        params.n_parallel = parallel
        if path.stat().st_size <= COPIED_BYTES:
            # Pages of a file are small ones: a copy in memory is read faster (docs/bench.md).
            params.load_mode = xllamacpp.llama_load_mode.LLAMA_LOAD_MODE_NONE
        params.n_batch = params.n_ubatch = BATCH_TOKENS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        # The server's own store of prompts does not know which adapter read them.
        params.cache_ram_mib = 0
        params.cache_idle_slots = False
        if device() == "cpu":
            # Measured in docs/bench.md: flash attention writes short answers faster, and long
            # conversations at half the speed. Without it, 8-bit keys are faster than 16-bit ones.
            params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
            if key_length and key_length % Q8_BLOCK == 0:
                params.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_Q8_0
        params.ui = params.endpoint_slots = False
        params.verbosity = 0
        params.lora_init_without_apply = True
        # The native server also listens on a loopback port; without a key any web page could ask.
        self._key = secrets.token_urlsafe(32)
        params.api_keys = [self._key]
        params.cors_origins = ""
        loras = []
        for file in adapters.values():
            info = xllamacpp.CommonAdapterLoraInfo()
            info.path, info.scale = str(file), 0.0
            loras.append(info)
        params.lora_adapters = loras
        self.adapters = {name: index for index, name in enumerate(adapters)}
        self._places = Places(parallel)
        self.stopped = threading.Event()
        try:
            self._native = xllamacpp.Server(params)
        except RuntimeError as error:
            raise EngineError(
                "load_failed",
                "The model {path} could not be loaded: {error}",
                path=path,
                error=error,
            ) from None

    def close(self) -> None:
        """End what runs. A thread inside the native code as Python ends would abort the process."""
        self.stopped.set()
        self._places.rest(CLOSE_S)

    def select(self, version: str) -> list[dict[str, Any]]:
        """What a request says so that this adapter answers it, or none.

        All of them are named: an empty list would let the base read the cache of an adapter.
        """
        return [
            {"id": number, "scale": float(name == version)}
            for name, number in self.adapters.items()
        ]

    def complete(
        self,
        request: dict[str, Any],
        callback: Callable[[Any], bool],
        ending: Callable[[], bool],
    ) -> None:
        """Run one completion; blocks until it ends or the callback returns True.

        Waits for a place; when `ending` comes true meanwhile, nothing is asked.
        """
        adapters = tuple(lora["scale"] for lora in request["lora"])
        with self._places.take(request["prompt"], adapters, ending) as place:
            if place is not None:
                self._native.handle_completions(request | {"id_slot": place}, callback)

    def others_wait(self, request: dict[str, Any]) -> bool:
        """Whether a request with other adapters waits for this one to end."""
        return self._places.others_wait(tuple(lora["scale"] for lora in request["lora"]))

    def tokenize(self, text: str) -> list[int]:
        body = {"content": text, "add_special": False, "parse_special": False}
        request = urllib.request.Request(  # noqa: S310 - the server's own address
            f"{self._native.listening_address}/tokenize",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
        )
        # The address is the native server's own: no proxy may see the text.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as response:
            ids: list[int] = json.load(response)["tokens"]
        return ids


class LlamaTokenizer:
    """llama.cpp's own tokenizer, so that prompts are cut exactly as the model expects."""

    def __init__(self, meta: GgufMeta, server: NativeServer) -> None:
        self.control_tokens: Mapping[str, int] = meta.control_tokens
        self.server = server
        self._user_defined = meta.user_defined
        self._encode = remember_short(self._encode_piece)

    def encode_text(self, text: str) -> list[int]:
        ids: list[int] = []
        for piece in break_up(text, self._user_defined):
            ids += self._encode(piece)
        return ids

    def _encode_piece(self, text: str) -> tuple[int, ...]:
        return tuple(self.server.tokenize(text))


def break_up(text: str, literals: Sequence[str]) -> list[str]:
    """Cut `text` after the first character of each literal, so that none is found in a piece."""
    cuts = {0, len(text)}
    for literal in literals:
        start = text.find(literal) if len(literal) > 1 else -1
        while start >= 0:
            cuts.add(start + 1)
            start = text.find(literal, start + 1)
    edges = sorted(cuts)
    return [text[a:b] for a, b in itertools.pairwise(edges)]


def device() -> str:
    """Name of the card that llama.cpp computes on, or `cpu`."""
    import xllamacpp  # heavy: loads the native library

    names = [str(d.get("name", "")) for d in xllamacpp.get_device_info()]
    return next((n for n in names if n and not n.upper().startswith("CPU")), "cpu")
