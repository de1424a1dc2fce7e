"""How good and how fast the embedded model is in each precision: `javis bench quantization`.

Perplexity is of the weights alone: each file is decoded to 32 bits and read by transformers, over
the same prose; and once more as served, by llama.cpp, which rounds activations to 8 bits for
quantized weights. Speed is of llama.cpp, all files loaded at once and measured in turns, so that a
busy moment hits all of them; medians.
"""

from __future__ import annotations

import importlib.metadata
import math
import re
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from javis.engine.convert import dense_copy, requantize
from javis.engine.fetch import fetch_embedded

ROUNDS = 5
PREFILL_TOKENS = 1_500
DECODE_TOKENS = 128
PARALLEL = 8
PARALLEL_TOKENS = 48
PERPLEXITY_TOKENS = 8_192
WINDOW = 1_024
SERVED_TOKENS = 600
CANDIDATES = 3_000
"""Likeliest tokens asked of llama.cpp; a text's own token is nearly always among them."""
PACKAGES = (
    *("gradio", "transformers", "peft", "accelerate", "datasets", "fastapi", "typer", "torch"),
    *("huggingface_hub", "safetensors", "tokenizers", "pydantic", "starlette", "uvicorn", "numpy"),
    *("bitsandbytes", "filelock", "jinja2", "tinydb", "tqdm", "pandas", "fsspec"),
)
"""Their descriptions were released in 2026, after the model was trained."""


def run(models_dir: Path) -> list[dict[str, Any]]:
    """Measure Q4_1 as shipped, Q8_0 and Q4_0; about five minutes on two cores."""
    shipped = fetch_embedded(models_dir, lambda line: None)
    with tempfile.TemporaryDirectory(prefix="javis-bench-") as name:
        folder = Path(name)
        files = {
            "Q4_1": shipped,
            "Q8_0": requantize(shipped, folder / "Q8_0.gguf", "Q8_0"),
            "Q4_0": requantize(shipped, folder / "Q4_0.gguf", "Q4_0"),
        }
        speeds = speed(files)
        loss = {kind: perplexities(path, folder / kind) for kind, path in files.items()}
        exact = {"F16": requantize(shipped, folder / "F16.gguf", "F16")}
        ids = _tokenizer(folder / "Q4_1")(recent_prose()).input_ids[:SERVED_TOKENS]
        for kind, value in served_perplexity(files | exact, ids).items():
            loss.setdefault(kind, {})["perplexity (2026, served)"] = value
    values = {m: speeds.get(m) or {k: v[m] for k, v in loss.items() if m in v} for m in _UNITS}
    return [
        {
            "name": f"{measure}, {kind}",
            "ours": values[measure][kind],
            "reference": values[measure]["Q4_1"],
            "ratio": values[measure][kind] / values[measure]["Q4_1"],
            "unit": _UNITS[measure],
        }
        for measure in _UNITS
        for kind in values[measure]
    ]


_UNITS = {
    "size": "MB",
    "decode": "tok/s",
    "prefill": "tok/s",
    "parallel": "tok/s",
    "perplexity (python)": "",
    "perplexity (2026)": "",
    "perplexity (2026, served)": "",
}


def speed(files: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Medians by measure and file, in tokens per second; and sizes in MB."""
    servers = {kind: _server(path) for kind, path in files.items()}
    measures: dict[str, Callable[[Any, int], float]] = {
        "decode": _decode,
        "prefill": _prefill,
        "parallel": _parallel,
    }
    found: dict[str, dict[str, list[float]]] = {m: {k: [] for k in files} for m in measures}
    for round_number in range(ROUNDS):
        for measure, take in measures.items():
            for kind, server in servers.items():
                found[measure][kind].append(take(server, round_number))
    result = {m: {k: statistics.median(v) for k, v in by.items()} for m, by in found.items()}
    result["size"] = {kind: path.stat().st_size / 1e6 for kind, path in files.items()}
    return result


def _server(path: Path) -> Any:
    import secrets

    import psutil
    import xllamacpp  # heavy: loads the native library

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel = PARALLEL
    params.n_ctx = 2_048 * PARALLEL
    threads = psutil.cpu_count(logical=False) or 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.verbosity = 0
    params.cache_ram_mib = 0
    params.api_keys = [secrets.token_urlsafe(16)]
    return xllamacpp.Server(params)


def _complete(server: Any, prompt: list[int], tokens: int) -> dict[str, float]:
    timings: dict[str, float] = server.handle_completions(
        {
            "prompt": prompt,
            "n_predict": tokens,
            "temperature": 0.0,
            "cache_prompt": False,
            "ignore_eos": True,
        }
    )["timings"]
    return timings


def _prompt(length: int, seed: int) -> list[int]:
    """Ids of the vocabulary's common part, another row of them for each seed."""
    return [1] + [300 + (i * 7919 + seed * 104_729) % 20_000 for i in range(length - 1)]


def _decode(server: Any, seed: int) -> float:
    return _complete(server, _prompt(32, seed), DECODE_TOKENS)["predicted_per_second"]


def _prefill(server: Any, seed: int) -> float:
    return _complete(server, _prompt(PREFILL_TOKENS, seed), 1)["prompt_per_second"]


def _parallel(server: Any, seed: int) -> float:
    threads = [
        threading.Thread(
            target=_complete, args=(server, _prompt(32, seed * PARALLEL + i), PARALLEL_TOKENS)
        )
        for i in range(PARALLEL)
    ]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return PARALLEL * PARALLEL_TOKENS / (time.perf_counter() - start)


def served_perplexity(files: dict[str, Path], ids: list[int]) -> dict[str, float]:
    """exp of the mean loss per token of what llama.cpp says of each next token of `ids`.

    A token that is not among the candidates counts as the last of them, so it is a lower bound.
    """
    servers = {kind: _server(path) for kind, path in files.items()}
    total = dict.fromkeys(files, 0.0)
    for end in range(1, len(ids)):
        for kind, server in servers.items():
            reply = server.handle_completions(
                {
                    "prompt": ids[:end],
                    "n_predict": 1,
                    "temperature": 0.0,
                    "cache_prompt": True,
                    "n_probs": CANDIDATES,
                }
            )
            likely = reply["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
            own = next((c["logprob"] for c in likely if c["id"] == ids[end]), None)
            total[kind] -= likely[-1]["logprob"] if own is None else own
    return {kind: math.exp(loss / (len(ids) - 1)) for kind, loss in total.items()}


def python_prose() -> str:
    """The language reference that Python carries (`help("topics")`): English, long sentences. The
    model has most likely read some edition of it."""
    from pydoc_data import topics

    return prose("\n\n".join(str(text) for _, text in sorted(topics.topics.items())))


def recent_prose() -> str:
    """What the pinned packages of 2026 say about themselves."""
    texts = [importlib.metadata.metadata(name).json["description"] for name in PACKAGES]
    return prose("\n\n".join(str(text) for text in texts))


def prose(text: str) -> str:
    """The paragraphs that are sentences: no code, tables, links or headings."""
    kept = []
    for paragraph in re.split(r"\n\s*\n", text):
        line = " ".join(paragraph.split())
        letters = sum(c.isalpha() or c == " " for c in line)
        is_sentence = len(line) > 120 and line[0].isupper() and line[-1] in ".!?"
        if is_sentence and letters > 0.9 * len(line) and not re.search(r"[<>{}|=]|https?:", line):
            kept.append(line)
    return "\n\n".join(dict.fromkeys(kept))


def perplexities(path: Path, folder: Path) -> dict[str, float]:
    """Perplexity of a GGUF file's weights on both texts."""
    import torch  # heavy
    from transformers import AutoModelForCausalLM

    dense = dense_copy(path, folder)
    model: Any = AutoModelForCausalLM.from_pretrained(dense, dtype=torch.float32)
    tokenizer = _tokenizer(dense)
    texts = {"perplexity (python)": python_prose(), "perplexity (2026)": recent_prose()}
    found = {}
    for name, text in texts.items():
        ids = tokenizer(text, return_tensors="pt").input_ids[0, :PERPLEXITY_TOKENS]
        found[name] = perplexity(model.eval(), ids)
    return found


def _tokenizer(dense: Path) -> Any:
    from transformers import AutoTokenizer  # heavy

    return AutoTokenizer.from_pretrained(dense)


def perplexity(model: Any, ids: Any) -> float:
    """exp of the mean loss per token, in windows that do not overlap."""
    import torch  # heavy

    total, count = 0.0, 0
    with torch.inference_mode():
        for window in ids.split(WINDOW):
            if len(window) < 2:
                continue
            loss = model(input_ids=window[None], labels=window[None]).loss
            total += float(loss) * (len(window) - 1)
            count += len(window) - 1
    return float(torch.tensor(total / count).exp())
