"""The errors a user can meet.

    JavisError
    ├── UserInputError        something asked for cannot be done as asked (HTTP 400)
    │   ├── NotFound          no such conversation, turn or version (404)
    │   └── ContextOverflow   the conversation no longer fits the model (400)
    ├── Forbidden             the caller may not do this (403)
    ├── Busy                  all places are taken, try again (429)
    ├── StoreError            what was asked could not be saved or read
    │   └── StoreCorrupt      the journal is damaged; nothing was changed
    ├── EngineError           the model could not be loaded or failed while answering
    ├── VersionError          an adapter version is missing, damaged or does not fit
    └── TrainError            a training run cannot be done, or went wrong (409)
        ├── NotEnoughData     fewer rows than the method needs (400)
        └── AlreadyTraining   one run at a time (409)

Each carries a `code`, the English sentence, and the `values` named in it. The page shows the
sentence of the same code in its own language (`error.<code>` in `javis/ui/i18n/`).
"""

from __future__ import annotations


class JavisError(Exception):
    """An error with a plain sentence for the user.

    `message` may name `values` as `{name}`; they are filled in here and again by a translation.
    """

    def __init__(self, code: str, message: str, **values: object) -> None:
        super().__init__(message.format(**values) if values else message)
        self.code = code
        self.values = values


class Errors(tuple[JavisError, ...]):
    """Several errors as a value of another one, a line each; so they can be translated too."""

    def __str__(self) -> str:
        return "\n".join(map(str, self))


class UserInputError(JavisError):
    """What was asked for cannot be done as asked; the sentence says what to change."""


class NotFound(UserInputError):
    """No such conversation, turn, version or file for this user."""


class ContextOverflow(UserInputError):
    """The conversation is `excess` tokens too long; dropping `drop` of its oldest turns helps.

    `drop` is None when even the newest message alone does not fit.
    """

    def __init__(self, *, tokens: int, limit: int, drop: int | None) -> None:
        self.tokens, self.limit, self.drop = tokens, limit, drop
        excess = tokens - limit
        if drop is None:
            super().__init__(
                "message_too_long",
                "This message is {excess} tokens too long for the model "
                "({tokens} tokens, room for {limit}). Shorten it and send it again.",
                excess=excess,
                tokens=tokens,
                limit=limit,
            )
        else:
            super().__init__(
                "context_overflow",
                "The conversation is {excess} tokens too long for the model ({tokens} tokens, room "
                "for {limit}). Leave out its {drop} oldest turns, or start a new conversation.",
                excess=excess,
                tokens=tokens,
                limit=limit,
                drop=drop,
            )


class Forbidden(JavisError):
    """The caller is not allowed to do this."""


class Busy(JavisError):
    """All places are taken or the thing is in use; trying again later can work."""


class StoreError(JavisError):
    """Something could not be saved or read; what was saved before is untouched."""


class StoreCorrupt(StoreError):
    """The journal is damaged in a way that is never mended silently."""


class EngineError(JavisError):
    """The model could not be loaded, or failed while it answered."""


class VersionError(JavisError):
    """An adapter version is missing, damaged, or was made for another base model."""


class TrainError(JavisError):
    """A training run cannot be started or carried on, or it went wrong."""


class NotEnoughData(TrainError):
    """A method needs `missing` more rows than were approved; the sentence says of which kind."""

    def __init__(self, code: str, message: str, *, missing: int, **values: object) -> None:
        self.missing = missing
        super().__init__(code, message, missing=missing, **values)


class AlreadyTraining(TrainError):
    """Only one run at a time: two would take each other's memory and processor."""

    def __init__(self) -> None:
        super().__init__(
            "already_training", "A training run is going on. Wait for its end, or cancel it."
        )
