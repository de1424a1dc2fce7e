"""Which adapter versions there are, and which one answers."""

from __future__ import annotations

from javis.core.errors import UserInputError
from javis.core.protocols import Engine
from javis.core.types import BASE, Version
from javis.engine.catalog import same_model
from javis.versions.registry import Registry


class VersionService:
    """Keeps the engine's versions in step with the model folder."""

    def __init__(self, engine: Engine, registry: Registry, pinned: Version | None = None) -> None:
        self._engine = engine
        self._registry = registry
        self._pinned = pinned
        self._known: dict[str, Version] = {}
        self.refused: dict[str, str] = {}
        """Why the engine does not serve a version, by name."""
        self.refresh()

    def refresh(self) -> None:
        """Look into the model folder again; running answers are not touched."""
        found = self._registry.versions()
        if self._pinned:
            found = [*found, self._pinned]
        self._known = {v.name: v for v in found}
        model = self._engine.info.model
        refused = {v.name: v.damaged for v in found if v.damaged}
        for version in found:
            if version.name not in refused and not same_model(version.base_model, model):
                refused[version.name] = f"It was made for {version.base_model}, not for {model}."
        fitting = [v for v in found if v.name not in refused]
        self.refused = refused | self._engine.use_versions(fitting)

    def all(self) -> list[Version]:
        """The base and every version on disk, the damaged ones too."""
        return [self._base(), *self._known.values()]

    def usable(self) -> list[Version]:
        """The versions that can answer now, the base first."""
        serving = self._engine.versions()
        return [v for v in self.all() if v.name in serving]

    def current(self) -> str:
        """The version that answers when none is named."""
        name = self._pinned.name if self._pinned else self._registry.current()
        return name if name in self._engine.versions() else BASE

    def serving(self, name: str | None) -> Version:
        """The version to answer with. Raises UserInputError when it cannot."""
        name = name or self.current()
        for version in self.usable():
            if version.name == name:
                return version
        if name in self.refused:
            raise UserInputError(
                "version_refused",
                "Version {name} cannot be used: {why}",
                name=name,
                why=self.refused[name],
            )
        raise UserInputError("no_version", "There is no version {name}.", name=name)

    def _base(self) -> Version:
        return Version(BASE, None, self._engine.info.model, None)
