"""Services over a real store and the scripted engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from javis.core.settings import Settings
from javis.engine.scripted import ScriptedEngine
from javis.service.services import Services, join
from javis.store import Store, open_store
from javis.versions.registry import Registry
from tests.service.learning import make_training

__all__ = ["make_training"]


@dataclass(frozen=True, slots=True)
class Application:
    """One start of the program, without a web server."""

    services: Services
    store: Store
    engine: ScriptedEngine


Make = Callable[..., Application]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make an application; a second one on the same folder is a restart."""
    made: list[Application] = []

    def build(**engine: object) -> Application:
        settings = Settings(
            data_dir=tmp_path / "data", models_dir=tmp_path / "models", queue=2
        ).absolute()
        settings.data_dir.mkdir(exist_ok=True)
        store = open_store(settings.journal)
        scripted = ScriptedEngine(**engine)  # type: ignore[arg-type]
        services = join(settings, store, scripted, Registry(settings.models_dir))
        application = Application(services, store, scripted)
        made.append(application)
        return application

    yield build
    for application in made:
        # The thread that reads corrections would go on over the next test.
        application.services.recall.wait(10)
        application.store.close()
