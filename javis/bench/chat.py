"""`javis bench chat`: answers through our server against raw llama.cpp and eager transformers.

Ours is a real `javis serve` in its own process. The references run in this one: the bare
xllamacpp server on the same file with the same ids, and transformers in bfloat16 on the dense copy
of the same weights. Each round measures all of them once; the medians are compared.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from javis.bench.adapter import write_random_version
from javis.bench.report import Row, row
from javis.bench.server import Served, Streamed, post, serving, stream
from javis.core.settings import Settings
from javis.core.types import SamplingParams
from javis.engine import catalog, hardware
from javis.engine.convert import dense_path
from javis.engine.llamacpp import DEFAULT_CONTEXT
from javis.service.preferences import Preferences
from javis.store import open_store
from javis.versions.publish import publish

ROUNDS = 5
TOKENS = 160
EAGER_TOKENS = 48
PROMPT = "Write a long story about a lighthouse keeper and number {}."


def run(settings: Settings) -> list[Row]:
    """All rows, printed as they come to be; about four minutes on two cores."""
    gguf = catalog.prepare_embedded(settings.models_dir, print)
    shipped = catalog.fetch_embedded(settings.models_dir, print)
    threads = settings.threads or hardware.detect().cores
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        models = scratch / "models"
        models.mkdir()
        (scratch / "data").mkdir()
        (models / "base").symlink_to(settings.models_dir / "base")
        write_random_version(models, "v1.0", catalog.EMBEDDED)
        with open_store(scratch / "data" / "javis.jnl") as store:
            # The page has no route to set these for one answer.
            Preferences(store).set_sampling(SamplingParams(temperature=0, max_tokens=TOKENS))
        with serving(models, scratch / "data") as served:
            return [
                *_decode(served, RawLlama(gguf, threads), Eager(shipped)),
                _history(served),
                _switch(served),
                _parallel(served),
                _publish(served, models, gguf),
                *_rest(served),
                *_start(served),
            ]


def _decode(served: Served, raw: RawLlama, eager: Eager) -> list[Row]:
    from javis.bench.page import Page, Wire  # heavy: a browser

    got: dict[str, list[float]] = {"raw": [], "v1": [], "eager": [], "page": [], "wire": []}
    wire = Wire(served.address)
    with Page(served.address) as page:
        for number in range(-1, ROUNDS):
            prompt = PROMPT.format(number)
            measured = {
                "v1": _v1(served, prompt).decode_per_s,
                "raw": raw.decode(prompt),
                "page": page.decode(prompt),
                "wire": wire.decode(prompt),
                "eager": eager.decode(prompt),
            }
            if number >= 0:  # the first round warms everything up
                for name, value in measured.items():
                    got[name].append(value)
    speed = {name: median(values) for name, values in got.items()}
    v1, page_, bare, slow = speed["v1"], speed["page"], speed["raw"], speed["eager"]
    wire_ = speed["wire"]
    return [
        row("decode /v1 : raw xllamacpp", v1, bare, "tok/s", "ratio >= 0.95", v1 >= 0.95 * bare),
        row(
            "decode through Gradio : raw xllamacpp",
            wire_,
            bare,
            "tok/s",
            "ratio >= 0.85",
            wire_ >= 0.85 * bare,
        ),
        row(
            "decode page, drawn by Chromium : raw xllamacpp",
            page_,
            bare,
            "tok/s",
            "ratio >= 0.85",
            page_ >= 0.85 * bare,
        ),
        row(
            "decode /v1 : transformers bf16 eager", v1, slow, "tok/s", "ratio >= 4", v1 >= 4 * slow
        ),
    ]


def _v1(served: Served, prompt: str, tokens: int = TOKENS, model: str = "base") -> Streamed:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
        "max_tokens": tokens,
    }
    return stream(served.address, "/v1/chat/completions", body)


def _history(served: Served) -> Row:
    """First token with about 3,000 tokens before it, against a new conversation."""
    text = "The quick brown fox jumps over the lazy dog near the old mill. " * 16
    turns = [{"user": f"{i}. {text}", "assistant": f"Noted, part {i}."} for i in range(12)]
    ids = post(
        served.address,
        "/api/conversations/import",
        {"conversations": [{"title": "history", "turns": turns}]},
    )
    conversation = ids["conversations"][0]["id"]
    ask = {"temperature": 0, "max_tokens": 4}
    # Beginning differently, so that none finds the last one's beginning in the cache.
    questions = (
        "Please suggest three names for a grey cat.",
        "Explain in one sentence why the sea is salty.",
        "What could I cook with two eggs and some rice?",
        "Name a good book about the history of Korea.",
        "How do I get a red wine stain out of cotton?",
        "Could you tell me when the first train ran?",
    )
    long_: list[float] = []
    empty: list[float] = []
    for number, question in enumerate(questions, start=-1):
        body = {**ask, "message": question}
        with_history = stream(
            served.address, "/api/chat", {**body, "conversation_id": conversation}
        )
        new = stream(served.address, "/api/chat", body)
        if number >= 0:  # the first one reads the whole history
            long_.append(with_history.first_s * 1000)
            empty.append(new.first_s * 1000)
    ours, reference = median(long_), median(empty)
    return row(
        "first token, 3,000 tokens of history : empty",
        ours,
        reference,
        "ms",
        "ratio <= 3",
        ours <= 3 * reference,
    )


def _switch(served: Served) -> Row:
    """First token right after a switch of the version, against a cold prompt on the base."""
    filler = "Tell me what you think of the following list of words, please. " * 6
    cold: list[float] = []
    switched: list[float] = []
    for number in range(-1, ROUNDS):
        base = _v1(served, f"{number}a {filler}", 4)
        other = _v1(served, f"{number}b {filler}", 4, "v1.0")
        if number >= 0:
            cold.append(base.first_s * 1000)
            switched.append(other.first_s * 1000)
    ours, reference = median(switched), median(cold)
    return row(
        "first token after a version switch : cold prompt",
        ours,
        reference,
        "ms",
        "ratio <= 2",
        ours <= 2 * reference,
    )


def _parallel(served: Served) -> Row:
    one: list[float] = []
    eight: list[float] = []
    for number in range(ROUNDS):
        one.append(_aggregate(served, 1, number))
        eight.append(_aggregate(served, 8, ROUNDS + number))
    ours, reference = median(eight), median(one)
    return row(
        "8 parallel requests : one",
        ours,
        reference,
        "tok/s",
        "ratio >= 1.8",
        ours >= 1.8 * reference,
    )


def _aggregate(served: Served, count: int, salt: int) -> float:
    done: list[Streamed] = []

    def ask(number: int) -> None:
        done.append(_v1(served, PROMPT.format(f"{salt}-{number}"), 96))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(count)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(answer.tokens for answer in done) / (time.perf_counter() - start)


def _publish(served: Served, models: Path, gguf: Path) -> Row:
    """From an adapter's files, tried out already, to the first token of its version."""
    adapter = models / "v1.0" / "adapter"
    metadata = json.loads((models / "v1.0" / "metadata.json").read_text())
    del metadata["version"]
    took: list[float] = []
    for number in range(ROUNDS):
        start = time.perf_counter()
        made = publish(models, adapter, metadata, {}, job=f"bench-{number}", base_gguf=gguf)
        post(served.address, f"/api/versions/{made.name}/promote", {})
        _v1(served, "Hello!", 1, made.name)
        took.append(time.perf_counter() - start)
    return row("published and answering", median(took), 3, "s", "under 3 s", median(took) < 3)


def _rest(served: Served) -> list[Row]:
    from javis.bench.page import Page  # heavy: a browser

    with Page(served.address) as page:
        browser, server = page.rest(served.pid)
    return [
        row("open page at rest, the browser", 100 * browser, None, "% of a core", "said"),
        row("open page at rest, the server", 100 * server, None, "% of a core", "said"),
    ]


def _start(served: Served) -> list[Row]:
    help_s = _timed(
        lambda: subprocess.run(
            [sys.executable, "-m", "javis", "--help"], check=True, capture_output=True
        )
    )
    python_s = _timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))
    memory = served.rss_bytes() / 2**20
    return [
        row("javis --help : bare python", help_s, python_s, "s", "under 1 s", help_s < 1),
        row(
            "serve to healthy /health",
            served.healthy_after_s,
            12,
            "s",
            "under 12 s",
            served.healthy_after_s < 12,
        ),
        row("memory of the server after all this", memory, 0, "MiB", "said", True),
    ]


def _timed(action: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return median(times)


class RawLlama:
    """xllamacpp itself on the same rendered prompt, with no code of ours between."""

    def __init__(self, gguf: Path, threads: int) -> None:
        import xllamacpp  # heavy: loads the native library

        params = xllamacpp.CommonParams()
        params.model.path = str(gguf)
        params.n_ctx, params.n_parallel, params.verbosity = DEFAULT_CONTEXT, 1, 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        self._server = xllamacpp.Server(params)

    def decode(self, prompt: str) -> float:
        """Tokens per second after the first."""
        times: list[float] = []

        def on_event(event: dict[str, Any]) -> bool:
            times.append(time.perf_counter())
            return False

        request = {
            "prompt": f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n",
            "n_predict": TOKENS,
            "temperature": 0,
            "stream": True,
        }
        self._server.handle_completions(request, on_event)
        # The last event is the summary.
        return (len(times) - 2) / (times[-2] - times[0])


class Eager:
    """transformers in bfloat16, eager, with its key-value cache: one token after another."""

    def __init__(self, gguf: Path) -> None:
        import torch  # heavy
        from transformers import AutoModelForCausalLM, AutoTokenizer  # heavy

        folder = catalog.dense_copy(gguf, dense_path(gguf))
        self._torch = torch
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
        self._tokenizer = AutoTokenizer.from_pretrained(folder)

    def decode(self, prompt: str) -> float:
        torch = self._torch
        messages = [{"role": "user", "content": prompt}]
        ids = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )["input_ids"]
        cache = None
        start = 0.0
        with torch.inference_mode():
            for number in range(EAGER_TOKENS):
                out = self._model(ids, past_key_values=cache, use_cache=True)
                cache = out.past_key_values
                ids = out.logits[:, -1:].argmax(-1)
                if number == 0:
                    start = time.perf_counter()
        return (EAGER_TOKENS - 1) / (time.perf_counter() - start)
