"""An adapter made elsewhere is taken in whole and safe, or refused, and runs nothing."""

from __future__ import annotations

import io
import json
import os
import pickle
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from javis.core.errors import VersionError
from javis.core.types import Version
from javis.engine.adapter import check_config
from javis.engine.files import sha256_file
from javis.versions import archive, importing
from javis.versions.importing import bring_in
from javis.versions.publish import Publisher
from javis.versions.registry import Registry
from tests.versions.making import CONFIG, METADATA, MODEL, make_adapter

NAMES = ("adapter_config.json", "adapter_model.safetensors")


class Run:
    """A pickle that leaves a mark when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (Path.touch, (self.marker,))


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return make_adapter(tmp_path / "made elsewhere")


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path / "models")


def take_in(publisher: Publisher, source: Path | bytes) -> Version:
    return bring_in(source, publisher, MODEL, by="ann")


def packed(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive_:
        for name, data in files.items():
            archive_.writestr(name, data)
    return out.getvalue()


@pytest.fixture
def files(adapter: Path) -> dict[str, bytes]:
    return {name: (adapter / name).read_bytes() for name in NAMES}


def left(publisher: Publisher) -> list[str]:
    found = publisher.models_dir.rglob("*") if publisher.models_dir.exists() else []
    return [str(p) for p in found if p.name != ".lock"]


@pytest.mark.parametrize(
    "form", ["{}", "my adapter (1)/{}", "내 어댑터/{}", "v1.4/adapter/{}", "adapter/{}"]
)
def test_a_zip_in_any_usual_form_is_taken_in(
    publisher: Publisher, files: dict[str, bytes], form: str
) -> None:
    data = {form.format(name): data for name, data in files.items()}
    top = form.partition("/")[0]
    folder = "" if top in ("{}", "adapter") else f"{top}/"
    beside = {f"{folder}README.md": b"# hello", f"{folder}.DS_Store": b"mac"}
    beside |= {
        f"__MACOSX/{name.rpartition('/')[0]}/._{name.rpartition('/')[2]}": b"" for name in data
    }
    version = take_in(publisher, packed(data | beside))
    assert version.name == "v1.0"
    assert version.damaged is None
    assert version.base_model == MODEL
    assert not list(publisher.models_dir.rglob("README.md"))
    assert Registry(publisher.models_dir).current() == "base"
    metadata = Registry(publisher.models_dir).metadata("v1.0")
    assert metadata["imported"]["by"] == "ann"
    assert metadata["training_config"]["method"] == "lora"
    assert metadata["training_config"]["lora_r"] == 4


def test_a_folder_and_a_zip_file_are_taken_in(
    publisher: Publisher, adapter: Path, tmp_path: Path, files: dict[str, bytes]
) -> None:
    assert take_in(publisher, adapter).name == "v1.0"
    path = tmp_path / "adapter.zip"
    path.write_bytes(packed(files))
    assert take_in(publisher, path).name == "v2.0", "another recipe"
    version = take_in(publisher, Path(Registry(publisher.models_dir).get("v1.0").path or ""))
    assert version.damaged is None


def test_what_its_metadata_says_is_kept_where_it_makes_sense(
    publisher: Publisher, files: dict[str, bytes]
) -> None:
    given = METADATA | {"version": "v3.1", "created_at": "2026", "parent": "v3.0", "run": "x"}
    take_in(publisher, packed(files | {"metadata.json": json.dumps(given).encode()}))
    metadata = Registry(publisher.models_dir).metadata("v1.0")
    assert metadata["training_data"] == METADATA["training_data"]
    assert metadata["training_config"]["method"] == "sft-lora"
    assert metadata["version"] == "v1.0"
    assert metadata["parent"] is None
    assert "run" not in metadata
    assert metadata["notes"].endswith("first")


def entry(name: str, data: bytes = b"x", **fields: Any) -> Callable[[zipfile.ZipFile], None]:
    def add(target: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("placeholder")
        info.filename = info.orig_filename = name
        info.compress_type = zipfile.ZIP_DEFLATED
        for key, value in fields.items():
            setattr(info, key, value)
        target.writestr(info, data)

    return add


def link(target: bytes) -> Callable[[zipfile.ZipFile], None]:
    return entry(NAMES[1], target, external_attr=(stat.S_IFLNK | 0o777) << 16)


ZIP_ENTRIES: dict[str, tuple[Callable[[zipfile.ZipFile], None], str]] = {
    "slip": (entry("../evil.json"), "the name"),
    "deep slip": (entry("adapter/../../evil.json"), "the name"),
    "absolute": (entry("/etc/cron.d/evil"), "the name"),
    "backslash": (entry("..\\evil.json"), "the name"),
    "drive": (entry("C:/evil.json"), "the name"),
    "NUL": (entry("adapter_config.json\0.txt"), "the name"),
    "newline": (entry("a\nb.json"), "the name"),
    "right to left": (entry("\u202enosj.json"), "the name"),
    "long": (entry("a" * 5000), "the name"),
    "code": (entry("modeling.py"), "can run code"),
    "hidden code": (entry("adapter/handler.PY"), "can run code"),
    "library": (entry("x.so"), "can run code"),
    "trainer": (entry("training_args.bin"), "can run code"),
    "unknown": (entry("notes.txt"), "not part of an adapter"),
    "nested zip": (entry("more.zip"), "not part of an adapter"),
    "twice": (entry(NAMES[0], json.dumps(CONFIG).encode()), "twice"),
    "twice by case": (entry("Adapter_Config.json"), "twice"),
    "twice by folder": (entry("adapter/adapter_config.json"), "twice"),
    "other folder": (entry("b/README.md"), "several folders"),
    "deep folder": (entry("a/b/c/README.md"), "several folders"),
    "link": (entry("README.md", b"/etc/passwd", external_attr=0o120777 << 16), "a link"),
    "device": (entry("README.md", b"", external_attr=(stat.S_IFCHR | 0o666) << 16), "a link"),
    "encrypted": (entry("README.md", flag_bits=1), "encrypted"),
    "bzip2": (entry("README.md", compress_type=zipfile.ZIP_BZIP2), "unusual way"),
}


@pytest.mark.parametrize("name", ZIP_ENTRIES)
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_hostile_archive_is_refused(
    publisher: Publisher, files: dict[str, bytes], name: str, tmp_path: Path
) -> None:
    add, word = ZIP_ENTRIES[name]
    out = io.BytesIO(packed(files))
    with zipfile.ZipFile(out, "a") as target:
        add(target)
    data = out.getvalue()
    if name == "encrypted":  # zipfile writes no such flag itself.
        at = data.rindex(b"PK\x01\x02")
        data = data[: at + 8] + b"\x01" + data[at + 9 :]
    with pytest.raises(VersionError, match=word) as caught:
        take_in(publisher, data)
    assert caught.value.code == "adapter_refused"
    assert left(publisher) == []
    assert not list(tmp_path.rglob("*evil*"))


def test_a_link_instead_of_the_weights_is_refused(
    publisher: Publisher, files: dict[str, bytes]
) -> None:
    out = io.BytesIO(packed({NAMES[0]: files[NAMES[0]]}))
    with zipfile.ZipFile(out, "a") as target:
        link(b"/etc/passwd")(target)
    with pytest.raises(VersionError, match="a link"):
        take_in(publisher, out.getvalue())


def ended(data: bytes, **fields: int) -> bytes:
    """The archive with other numbers in its end record."""
    at = data.rindex(b"PK\x05\x06")
    names = ("disk", "first", "here", "entries", "bytes", "offset", "comment")
    values = dict(zip(names, struct.unpack("<4H2LH", data[at + 4 : at + 22]), strict=True))
    return data[:at] + b"PK\x05\x06" + struct.pack("<4H2LH", *(values | fields).values())


def damaged(files: dict[str, bytes]) -> dict[str, bytes]:
    whole = packed(files)
    bomb = files | {"metadata.json": b'{"a": "' + b" " * (40 << 20) + b'"}'}
    zeros = files | {NAMES[1]: bytes(100 << 20)}
    stored = packed(files, zipfile.ZIP_STORED)
    flipped = bytearray(stored)
    flipped[stored.index(files[NAMES[1]]) + 90] ^= 1
    return {
        "no zip": b"hello",
        "nothing": b"",
        "only the end": whole[-22:],
        "cut": whole[:-30],
        "cut at the front": whole[100:],
        "many entries": packed({f"{n}.json": b"" for n in range(100)}),
        "says many": ended(whole, here=0xFFFE, entries=0xFFFE),
        "says huge": ended(whole, bytes=0xFFFFFFF),
        "zip64": ended(whole, here=0xFFFF, entries=0xFFFF),
        "two disks": ended(whole, disk=1),
        "offset outside": ended(whole, offset=0xFFFFFF),
        "bomb of text": packed(bomb),
        "bomb of zeros": packed(zeros),
        "changed byte": bytes(flipped),
        "empty": packed({}),
        "no weights": packed({NAMES[0]: files[NAMES[0]]}),
        "no config": packed({NAMES[1]: files[NAMES[1]]}),
    }


def test_damaged_archives_and_bombs_are_refused(
    publisher: Publisher, files: dict[str, bytes]
) -> None:
    for name, data in damaged(files).items():
        with pytest.raises(VersionError) as caught:
            take_in(publisher, data)
        assert caught.value.code == "adapter_refused", name
        assert left(publisher) == [], name


def test_extractall_would_have_fallen_for_it(tmp_path: Path, files: dict[str, bytes]) -> None:
    """The broken variant: the corpus does hold things that do harm."""
    bomb = damaged(files)["bomb of zeros"]
    zipfile.ZipFile(io.BytesIO(bomb)).extractall(tmp_path / "out")
    assert (tmp_path / "out" / NAMES[1]).stat().st_size == 100 << 20
    assert len(bomb) < 1 << 20


def test_an_extractor_that_follows_names_would_have_fallen_for_it(tmp_path: Path) -> None:
    """The broken variant: what others wrote by hand, a file for each name and links as they are."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        entry("../evil.json")(target)
        link(b"/etc/hostname")(target)
    folder = tmp_path / "out"
    folder.mkdir()
    with zipfile.ZipFile(out) as source:
        for found in source.infolist():
            if stat.S_ISLNK(found.external_attr >> 16):
                (folder / found.orig_filename).symlink_to(source.read(found).decode())
            else:
                (folder / found.orig_filename).write_bytes(source.read(found))
    assert (tmp_path / "evil.json").exists()
    assert (folder / NAMES[1]).resolve() == Path("/etc/hostname").resolve()


def hostile_configs(marker: Path) -> list[dict[str, Any]]:
    evil = marker.parent / "evil.py"
    evil.write_text(f"open({str(marker)!r}, 'w').close()")
    return [
        {"auto_mapping": {"parent_library": "evil", "base_model_class": "X"}},
        {"megatron_core": "evil"},
        {"megatron_config": {"x": 1}},
        {"runtime_config": {"ephemeral_gpu_offload": True}},
        {"trainable_token_indices": [0]},
        {"auto_map": {"AutoModel": "evil.Model"}},
        {"_attn_implementation_internal": "evil/kernel"},
        {"trust_remote_code": True},
        {"loftq_config": {"loftq_bits": 4}},
        {"eva_config": {"rho": 2}},
        {"layer_replication": [[0, 30]]},
        {"init_lora_weights": "pissa"},
        {"target_modules": "(a+)+$"},
        {"rank_pattern": {"(a+)+$": 4}},
        {"peft_type": "XLORA"},
        {"peft_type": "POLY"},
        {"task_type": "SEQ_CLS"},
        {"r": 10**9},
        {"modules_to_save": ["../x"]},
    ]


def test_hostile_configs_are_refused_and_run_nothing(
    publisher: Publisher, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "ran"
    monkeypatch.syspath_prepend(str(tmp_path))
    configs = hostile_configs(marker)
    assert len(configs) >= 12
    for change in configs:
        config = json.dumps(CONFIG | change).encode()
        with pytest.raises(VersionError):
            take_in(publisher, packed(files | {NAMES[0]: config}))
        with pytest.raises(VersionError):
            check_config(CONFIG | change)
    assert left(publisher) == []
    assert not marker.exists()
    __import__("evil")
    assert marker.exists(), "the marker works"


def weights_of(files: dict[str, bytes]) -> dict[str, bytes]:
    whole = files[NAMES[1]]
    length = struct.unpack("<Q", whole[:8])[0]
    return {
        "header of 2^62": struct.pack("<Q", 1 << 62) + whole[8:],
        "header of 100 MB": struct.pack("<Q", 100 << 20) + b"{" + b" " * (8 << 20),
        "cut off": whole[:-1],
        "zeroed header": bytes(8) + whole[8:],
        "longer": whole + b"x",
        "flipped header": whole[:9] + bytes([whole[9] ^ 8]) + whole[10:],
        "NaN": whole[:-4] + b"\x00\x00\xc0\x7f",
        "infinity": whole[:-4] + b"\x00\x00\x80\x7f",
        "renamed": whole.replace(b"lora_A", b"lora_X"),
        "other shape": whole.replace(b"[4,8]", b"[8,4]"),
        "text": b"hello",
        "nothing": b"",
        "GGUF": b"GGUF" + whole,
        "no data": whole[: 8 + length],
    }


def test_hostile_weights_are_refused(publisher: Publisher, files: dict[str, bytes]) -> None:
    for name, data in weights_of(files).items():
        assert data != files[NAMES[1]], name
        with pytest.raises(VersionError):
            take_in(publisher, packed(files | {NAMES[1]: data}))
        assert left(publisher) == [], name


def test_pickles_are_refused_and_not_loaded(
    publisher: Publisher, adapter: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    data = pickle.dumps(Run(marker))
    for name in ("adapter_model.bin", "optimizer.pt", "sub/rng_state.pth"):
        path = adapter / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        with pytest.raises(VersionError, match="can run code"):
            take_in(publisher, adapter)
        path.unlink()
    (adapter / NAMES[1]).write_bytes(data)
    with pytest.raises(VersionError):
        take_in(publisher, adapter)
    assert not marker.exists()
    pickle.loads(data)
    assert marker.exists(), "the marker works"


@pytest.mark.parametrize(
    ("named", "fits"),
    [
        (MODEL, True),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", True),
        (f"/home/ann/models/{MODEL}", True),
        (f"C:\\models\\{MODEL}\\", True),
        (f"/x/{MODEL}.Q4_1.dense", True),
        ("Qwen/Qwen2.5-7B-Instruct", False),
        ("/etc", False),
        ("../..", False),
        ("evil/SmolLM2-135M", False),
        ("", False),
        (None, False),
    ],
)
def test_the_base_must_be_ours_by_name(
    publisher: Publisher, files: dict[str, bytes], named: str | None, fits: bool
) -> None:
    config = json.dumps(CONFIG | {"base_model_name_or_path": named}).encode()
    data = packed(files | {NAMES[0]: config})
    if fits:
        assert take_in(publisher, data).base_model == MODEL
    else:
        with pytest.raises(VersionError, match=r"made for"):
            take_in(publisher, data)


@pytest.mark.parametrize("named", ["Qwen/Qwen2.5-7B-Instruct", "/etc", "../..", ""])
def test_without_the_comparison_any_base_would_do(
    publisher: Publisher, files: dict[str, bytes], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken variant: no other check knows one base from another."""
    monkeypatch.setattr(importing, "_require_base", lambda adapter, given, model: None)
    config = json.dumps(CONFIG | {"base_model_name_or_path": named}).encode()
    version = take_in(publisher, packed(files | {NAMES[0]: config}))
    assert (version.base_model, version.damaged) == (MODEL, None), "it passes for one of ours"


def metadata(**change: Any) -> bytes:
    return json.dumps(METADATA | {"version": "v1.0", "created_at": "2026"} | change).encode()


@pytest.mark.parametrize(
    "given",
    [
        b"[]",
        b"{",
        metadata(version="../../x"),
        metadata(version=None),
        metadata(base_model="Qwen2.5-7B-Instruct"),
        metadata(training_data={"total_turns": "many"}),
        metadata(training_config={"learning_rate": []}),
    ],
)
def test_metadata_that_lies_is_refused(
    publisher: Publisher, files: dict[str, bytes], given: bytes
) -> None:
    with pytest.raises(VersionError):
        take_in(publisher, packed(files | {"metadata.json": given}))
    assert left(publisher) == []


def test_a_manifest_that_does_not_fit_is_refused(
    publisher: Publisher, adapter: Path, files: dict[str, bytes]
) -> None:
    hashes = {f"adapter/{name}": sha256_file(adapter / name) for name in NAMES}
    good = json.dumps({"files": hashes}).encode()
    assert take_in(publisher, packed(files | {"MANIFEST.json": good})).damaged is None
    hashes[f"adapter/{NAMES[1]}"] = "0" * 64
    for manifest in ({"files": hashes}, {"files": {}}, {}):
        with pytest.raises(VersionError, match="MANIFEST"):
            take_in(publisher, packed(files | {"MANIFEST.json": json.dumps(manifest).encode()}))


def test_what_is_not_there_is_said(publisher: Publisher, tmp_path: Path) -> None:
    with pytest.raises(VersionError, match="nothing at"):
        take_in(publisher, tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VersionError, match="nothing at"):
        take_in(publisher, tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    with pytest.raises(VersionError, match="missing"):
        take_in(publisher, tmp_path / "empty")


def test_the_limits_count_what_is_read_not_what_is_said(tmp_path: Path) -> None:
    """An entry that says it is small and is not."""
    data = packed({NAMES[0]: b" " * (1 << 20), NAMES[1]: b"x"})
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02"))
    lying = data[: at + 24] + struct.pack("<L", 10) + data[at + 28 :]
    target = tmp_path / "out"
    target.mkdir()
    with pytest.raises(VersionError):
        archive.unpack(io.BytesIO(lying), target)
    assert sum(p.stat().st_size for p in target.iterdir()) <= archive.LIMITS[NAMES[0]]
