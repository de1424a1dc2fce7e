"""What the command line knows of the model that a server with these settings would serve."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from javis.core.errors import EngineError
from javis.core.settings import Settings
from javis.engine import catalog, hardware
from javis.engine.hf_model import read_words
from javis.engine.template import ChatTemplate
from javis.engine.template_file import read_template
from javis.service.review import control_tokens_of
from javis.service.run_counts import CountTokens


def control_tokens(settings: Settings) -> set[str]:
    """Those of the model's own, as a running server finds them, so that both flag the same rows.

    Empty when the model is not on disk: what is known of all models counts in any case.
    """
    try:
        path = _on_disk(catalog.resolve(settings, hardware.detect()))
        return control_tokens_of(read_template(path)) if path else set()
    except EngineError:
        return set()  # Not this command's business: `javis doctor` says more.


def token_counter(folder: Path) -> CountTokens:
    """Counts as the model in a folder does, whose words are read at the first use. EngineError
    when it is not there."""

    @cache
    def template() -> ChatTemplate:
        return read_words(folder).template()

    return lambda messages: len(template().encode(messages))


def _on_disk(choice: catalog.Choice) -> Path | None:
    if choice.pattern:
        return next(iter(sorted(choice.path.parent.glob(choice.pattern))), None)
    return choice.path if choice.path.exists() else None
