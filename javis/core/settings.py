"""What is fixed when the program starts: flags, environment and `.env`, read once.

What a user changes while it runs (default temperature, readiness goal, …) is in the store.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def _named(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class Settings(BaseSettings):
    """Every setting has one home here; docs/settings.md is made from this class."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
    )

    host: str = Field(
        "127.0.0.1",
        validation_alias=_named("JAVIS_HOST"),
        description="Address to listen on. Anything but this computer needs JAVIS_PASSWORD.",
    )
    port: int = Field(
        7860,
        ge=0,
        le=65535,
        validation_alias=_named("JAVIS_PORT"),
        description="Port to listen on; 0 takes a free one.",
    )
    browser: bool = Field(
        True,
        validation_alias=_named("JAVIS_BROWSER"),
        description="Open the page in the browser when ready.",
    )
    data_dir: Path = Field(
        Path("data"),
        validation_alias=_named("JAVIS_DATA_DIR"),
        description="Folder of the journal: conversations, ratings, settings.",
    )
    models_dir: Path = Field(
        Path("models"),
        validation_alias=_named("JAVIS_MODELS_DIR"),
        description="Folder of base models and adapter versions.",
    )
    exports_dir: Path = Field(
        Path("exports"),
        validation_alias=_named("JAVIS_EXPORTS_DIR"),
        description="Folder that exported data sets go to.",
    )
    engine: Literal["auto", "llamacpp", "transformers"] = Field(
        "auto",
        validation_alias=_named("JAVIS_ENGINE"),
        description="What runs the model. auto: transformers with CUDA, else llama.cpp.",
    )
    model: str = Field(
        "auto",
        validation_alias=_named("JAVIS_MODEL", "BASE_MODEL"),
        description="Base model: a name from `javis models`, a hub id, a folder or a GGUF file.",
    )
    quantization: Literal["auto", "4bit", "8bit", "16bit", "32bit"] = Field(
        "auto",
        validation_alias=_named("QUANTIZATION", "JAVIS_QUANTIZATION"),
        description="Precision of the model. llama.cpp has 4bit and 8bit (Q8_0) of listed ones.",
    )
    adapter_path: Path | None = Field(
        None,
        validation_alias=_named("ADAPTER_PATH", "JAVIS_ADAPTER_PATH"),
        description="Folder of one adapter to answer with; wins over models/current.",
    )
    context: int = Field(
        0,
        ge=0,
        validation_alias=_named("JAVIS_CONTEXT"),
        description="Tokens of one conversation; 0 takes what the model can, at most 8192.",
    )
    parallel: int = Field(
        0,
        ge=0,
        le=64,
        validation_alias=_named("JAVIS_PARALLEL"),
        description="Answers at once; 0 takes 16, 8 or 4 by memory, with transformers 4 or 2.",
    )
    threads: int = Field(
        0,
        ge=0,
        le=512,
        validation_alias=_named("JAVIS_THREADS"),
        description="Processor threads for the model; 0 takes the number of real cores.",
    )
    queue: int = Field(
        32,
        ge=0,
        le=1000,
        validation_alias=_named("JAVIS_QUEUE"),
        description="Requests that may wait for a free place before others get 429.",
    )
    password: SecretStr | None = Field(
        None,
        validation_alias=_named("JAVIS_PASSWORD"),
        description="Password of the user `admin`. Turns the login page on.",
    )
    users: SecretStr | None = Field(
        None,
        validation_alias=_named("JAVIS_USERS"),
        description="More users without admin rights, as name:password,name:password.",
    )
    api_key: SecretStr | None = Field(
        None,
        validation_alias=_named("JAVIS_API_KEY"),
        description="Key that /v1 and /api take as Authorization: Bearer. Acts as admin.",
    )
    allowed_hosts: str = Field(
        "",
        validation_alias=_named("JAVIS_ALLOWED_HOSTS"),
        description="More Host names the server answers to, separated by commas.",
    )
    judge_url: str = Field(
        "",
        validation_alias=_named("JUDGE_URL", "JAVIS_JUDGE_URL"),
        description="OpenAI-compatible address, up to `/v1`, of a model that judges answers.",
    )
    judge_model: str = Field(
        "",
        validation_alias=_named("JUDGE_MODEL", "JAVIS_JUDGE_MODEL"),
        description="The judge's model name. Without address and name there is no judge.",
    )
    judge_key: SecretStr | None = Field(
        None,
        validation_alias=_named("JUDGE_KEY", "JAVIS_JUDGE_KEY"),
        description="Key sent to the judge as Authorization: Bearer.",
    )
    tracking: Literal["", "wandb", "trackio"] = Field(
        "",
        validation_alias=_named("TRACKING", "JAVIS_TRACKING"),
        description="Experiment tracker that hears of training runs and evaluations.",
    )
    tracking_project: str = Field(
        "javis",
        min_length=1,
        validation_alias=_named("TRACKING_PROJECT", "JAVIS_TRACKING_PROJECT"),
        description="The tracker's project.",
    )
    offline: bool = Field(
        False,
        validation_alias=_named("JAVIS_OFFLINE"),
        description="Never ask the network, not even for a model.",
    )

    @field_validator("password", "api_key", "users", "judge_key", mode="after")
    @classmethod
    def _not_empty(cls, value: SecretStr | None) -> SecretStr | None:
        # An empty secret would let everybody in; treat "" as unset.
        return value if value and value.get_secret_value().strip() else None

    @property
    def journal(self) -> Path:
        return self.data_dir / "javis.jnl"

    @property
    def is_loopback(self) -> bool:
        return self.host in ("127.0.0.1", "localhost", "::1")

    def absolute(self, home: Path | None = None) -> Settings:
        """The same settings with absolute paths, from `home` or the working directory on."""
        home = home or Path.cwd()
        paths = ("data_dir", "models_dir", "exports_dir", "adapter_path")
        found: dict[str, object] = {
            p: (home / getattr(self, p).expanduser()).resolve()
            for p in paths
            if getattr(self, p) is not None
        }
        return self.model_copy(update=found | {"model": located(self.model, home)})


def located(model: str, folder: Path) -> str:
    """A model's name as it is; the path of a file or folder, from `folder` on, as a whole one."""
    # Not resolved: a link of the hub's cache points to a file without its name.
    path = (folder / Path(model).expanduser()).absolute()
    is_path = path.suffix.lower() == ".gguf" or (path / "config.json").is_file()
    return str(path) if model and is_path else model


def settings_table() -> str:
    """All settings as a Markdown table: docs/settings.md holds exactly this."""
    lines = ["| environment or `.env` | default | what it does |", "|---|---|---|"]
    for field in Settings.model_fields.values():
        alias = field.validation_alias
        names = alias.choices if isinstance(alias, AliasChoices) else []
        name = " or ".join(f"`{choice}`" for choice in names)
        default = "" if field.default is None else f"`{field.default}`"
        choices = getattr(field.annotation, "__args__", ())
        if choices and all(isinstance(choice, str) for choice in choices):
            default += " (of " + ", ".join(f"`{choice}`" for choice in choices) + ")"
        lines.append(f"| {name} | {default} | {field.description} |")
    return "\n".join(lines)
