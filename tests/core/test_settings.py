from __future__ import annotations

from pathlib import Path

import pytest

from javis.cli import settings_from
from javis.core.settings import Settings, settings_table

DOCS = Path(__file__).resolve().parents[2] / "docs/settings.md"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_documented_table_is_the_real_one() -> None:
    assert settings_table() in DOCS.read_text("utf-8")


def test_flags_win_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("JAVIS_PORT=1111\nQUANTIZATION=8bit\nBASE_MODEL=qwen\n")
    assert Settings().port == 1111
    monkeypatch.setenv("JAVIS_PORT", "2222")
    assert Settings().port == 2222
    settings = settings_from(port=3333)
    assert (settings.port, settings.quantization, settings.model) == (3333, "8bit", "qwen")


def test_paths_become_absolute_before_the_server_leaves_its_folder(tmp_path: Path) -> None:
    settings = settings_from(data_dir=Path("elsewhere"))
    assert settings.data_dir == tmp_path / "elsewhere"
    assert settings.models_dir.is_absolute()


def test_a_model_beside_the_user_is_found_from_anywhere(tmp_path: Path) -> None:
    (tmp_path / "tuned").mkdir()
    (tmp_path / "tuned" / "config.json").write_text("{}")
    (tmp_path / "blob").touch()
    (tmp_path / "x.gguf").symlink_to(tmp_path / "blob")
    for given in ("tuned", "./tuned", "x.gguf", str(tmp_path / "x.gguf")):
        assert settings_from(model=given).model == str(tmp_path / Path(given).name)


def test_a_name_of_a_model_stays_a_name(tmp_path: Path) -> None:
    for name in ("auto", "qwen"):
        (tmp_path / name).mkdir()  # a folder, but no model
        assert settings_from(model=name).model == name


def test_a_bad_value_is_named_in_plain_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JAVIS_PORT", "many")
    with pytest.raises(Exception, match="2"):
        settings_from()
    assert "JAVIS_PORT" in capsys.readouterr().err


def test_an_empty_password_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVIS_PASSWORD", "  ")
    assert Settings().password is None


def test_secrets_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVIS_PASSWORD", "canary-password")
    monkeypatch.setenv("JAVIS_API_KEY", "canary-key")
    assert "canary" not in repr(Settings()) + str(Settings().model_dump())


def test_a_folder_in_the_users_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    found = Settings(_env_file=None, data_dir=Path("~/mine")).absolute(Path("/elsewhere"))  # type: ignore[call-arg]
    assert found.data_dir == tmp_path / "mine"


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ADAPTER_PATH", "JAVIS_MODEL", "QUANTIZATION", "JAVIS_PORT", "JAVIS_DATA_DIR"):
        monkeypatch.setenv(name, "")
    (tmp_path / ".env").write_text("JAVIS_HOST=\n")
    assert settings_from() == Settings(_env_file=None).absolute()  # type: ignore[call-arg]
