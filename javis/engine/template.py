"""Messages to token ids, by the base model's own chat template.

Control tokens come from the template alone. The template is rendered with a placeholder for each
content; the control tokens are looked for in what the template wrote, and everything between two
of them (its literals and the contents together) is encoded as plain text. So the ids are those
that the model was trained on, and `<|im_start|>` typed by a user stays eleven characters of text.

Serving and training both go through here, so a model is trained on exactly what it is served.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

import jinja2
from jinja2 import nodes
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from javis.core.errors import EngineError, UserInputError
from javis.core.types import Message

_MAX_STEPS = 200_000
"""Rounds of loops in one rendering: thousands of messages need no more; takes under a second."""
_CALL_STEPS = 5
"""A call takes so much longer than a round."""
_MAX_SIZE = 1_000_000
_KNOWN_TEXTS, _SHORT_CHARS = 1024, 4000
"""Together some 60 MB at most."""
_MAX_POWER = 64


class Tokenizer(Protocol):
    """What a template needs of a tokenizer."""

    @property
    def control_tokens(self) -> Mapping[str, int]:
        """Literal and id of every special or added token."""
        ...

    def encode_text(self, text: str) -> list[int]:
        """Ids of plain text; never one of `control_tokens`."""
        ...


_HTML = re.compile(r"</?(?!think)[a-z]+[1-6]?/?>")


def is_marker(literal: str) -> bool:
    """Whether a token that a vocabulary only adds, without calling it special, structures a chat
    or an answer (`<think>`, `<tool_call>`). Blanks and tags of HTML are text like any other."""
    return literal.startswith(("<", "[")) and not _HTML.fullmatch(literal)


def remember_short(encode: Callable[[str], tuple[int, ...]]) -> Callable[[str], tuple[int, ...]]:
    """`encode` with a memory: earlier messages of a conversation come again with every turn.

    A long text is encoded each time. Some thousands of them, refused ones too, would fill the
    memory of the machine.
    """
    known = lru_cache(maxsize=_KNOWN_TEXTS)(encode)
    return lambda text: known(text) if len(text) <= _SHORT_CHARS else encode(text)


class ChatTemplate:
    """A base model's chat template, bound to its tokenizer."""

    def __init__(
        self, jinja_source: str, tokenizer: Tokenizer, bos_token: str = "", eos_token: str = ""
    ) -> None:
        self._tokenizer = tokenizer
        self._special = {"bos_token": bos_token, "eos_token": eos_token}
        try:
            self._environment = _environment()
            self._template = self._environment.from_string(jinja_source)
        except jinja2.TemplateError as error:
            raise EngineError(
                "bad_template", "The model's chat template cannot be read: {error}", error=error
            ) from None
        # Qwen3 and its kin think aloud unless told not to; JAVIS shows answers.
        self._options = {"enable_thinking": False} if "enable_thinking" in jinja_source else {}
        literals = sorted(tokenizer.control_tokens, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, literals)) or r"(?!)")
        self.used_control = frozenset(
            t for t in literals if t in jinja_source or t in self._special.values()
        )
        """Control tokens that structure a chat; they never belong into an answer."""
        self._strips = self._probe_strip()
        self.end_of_turn = self._probe_end(eos_token)
        """The control token that ends an answer."""
        tokens = tokenizer.control_tokens
        ids = [tokens[t] for t in (bos_token, eos_token, self.end_of_turn) if t in tokens]
        self._opening = ids[:1]
        # A template that names it writes it because the model expects one before any text.
        self._opens = "bos_token" in jinja_source and bos_token in tokens

    def encode(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = True
    ) -> list[int]:
        """Token ids of the conversation, by default up to where the next answer begins."""
        ids: list[int] = []
        text = ""
        for piece, is_content in self.spans(messages, add_generation_prompt=add_generation_prompt):
            if is_content:
                text += piece
                continue
            end = 0
            for match in self._control.finditer(piece):
                text += piece[end : match.start()]
                end = match.end()
                if text:
                    ids += self._tokenizer.encode_text(text)
                    text = ""
                ids.append(self._tokenizer.control_tokens[match.group()])
            text += piece[end:]
        return ids + (self._tokenizer.encode_text(text) if text else [])

    def encode_target(self, messages: Sequence[Message]) -> tuple[list[int], int]:
        """Ids of a conversation that ends with the assistant, and where its last answer begins.

        What is trained are `ids[start:]`: the answer and the control token that ends it. The ids
        before `start` are exactly those that `encode(messages[:-1])` gives when it is served.
        """
        prompt = self.encode(messages[:-1])
        answer = messages[-1].content.strip() if self._strips else messages[-1].content
        ids = prompt + self._tokenizer.encode_text(answer)
        end = self._tokenizer.control_tokens.get(self.end_of_turn)
        return ids if end is None else [*ids, end], len(prompt)

    def encode_answer(self, prompt: Sequence[Message] | str, answer: str) -> tuple[list[int], int]:
        """Ids of a prompt with an answer to be weighed, and where the answer begins."""
        if isinstance(prompt, str):
            if not answer:
                raise UserInputError("empty_text", "{what} is empty.", what="The answer")
            return self.encode_raw(prompt, answer)
        return self.encode_target([*prompt, Message("assistant", answer)])

    def encode_raw(self, prompt: str, answer: str) -> tuple[list[int], int]:
        """Ids of plain text without a template, and where those of `answer` begin.

        A token over the border counts as the answer's. At least one token comes before it: what a
        model reads first is never foretold.
        """
        head = self._tokenizer.encode_text(prompt)
        whole = self._tokenizer.encode_text(prompt + answer)
        pairs = enumerate(zip(head, whole, strict=False))
        start = next((i for i, (a, b) in pairs if a != b), min(len(head), len(whole)))
        opening = self._opening if self._opens or not start else []
        return [*opening, *whole], start + len(opening)

    def training_text(self, messages: Sequence[Message]) -> list[tuple[str, bool]]:
        """What `encode_target` trains on as (text, trained) pieces, for people to look at."""
        prompt = "".join(piece for piece, _ in self.spans(messages[:-1]))
        answer = messages[-1].content.strip() if self._strips else messages[-1].content
        return [(prompt, False), (answer + self.end_of_turn, True)]

    def spans(
        self, messages: Sequence[Message], *, add_generation_prompt: bool = True
    ) -> list[tuple[str, bool]]:
        """The rendered conversation as (text, is_content) pieces."""
        # The nonce keeps a content from imitating another's placeholder.
        nonce = secrets.token_hex(8)
        contents = [m.content.strip() if self._strips else m.content for m in messages]
        marked = [
            {"role": m.role, "content": f"\ue000{nonce}:{i}\ue001"} for i, m in enumerate(messages)
        ]
        try:
            rendered = self._render(marked, add_generation_prompt)
        except jinja2.TemplateError as error:
            if len(messages) < 2 or messages[0].role != "system":
                raise EngineError(
                    "template_refused",
                    "The model's chat template refuses this conversation: {error}",
                    error=error,
                ) from None
            # Some models (Gemma) know no system message.
            return self.spans(_folded(messages), add_generation_prompt=add_generation_prompt)
        pieces = re.split(rf"\ue000{nonce}:(\d+)\ue001", rendered)
        if len(messages) > 1 and messages[0].role == "system" and "0" not in pieces[1::2]:
            # Others (Phi 3) leave it out without a word.
            return self.spans(_folded(messages), add_generation_prompt=add_generation_prompt)
        return [
            (contents[int(piece)], True) if i % 2 else (piece, False)
            for i, piece in enumerate(pieces)
            if piece
        ]

    def _render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        self._environment.begin()
        try:
            return self._template.render(
                messages=messages,
                add_generation_prompt=add_generation_prompt,
                **self._special,
                **self._options,
            )
        except jinja2.TemplateError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge to a stranger's program
            # It may divide by zero or call itself for ever.
            raise jinja2.TemplateRuntimeError(f"{type(error).__name__}: {error}") from None

    def _probe_strip(self) -> bool:
        """Whether the template trims contents, which a placeholder would hide from it."""
        try:
            text = self._render([{"role": "user", "content": "  probe  "}], True)
        except jinja2.TemplateError:
            return False
        return "  probe  " not in text

    def _probe_end(self, eos_token: str) -> str:
        """The first control token that the template writes behind an answer, else the eos."""
        question = Message("user", "?")
        try:
            pieces = self.spans([question, Message("assistant", "!")], add_generation_prompt=False)
        except EngineError:
            return eos_token
        last = max((i for i, (_, content) in enumerate(pieces) if content), default=len(pieces))
        behind = "".join(text for text, _ in pieces[last + 1 :])
        found = self._control.search(behind)
        return found.group() if found else eos_token


def _folded(messages: Sequence[Message]) -> list[Message]:
    """The system message as the opening of the first user message."""
    first = Message(messages[1].role, f"{messages[0].content}\n\n{messages[1].content}")
    return [first, *messages[2:]]


class _Bounded(ImmutableSandboxedEnvironment):
    """Jinja's sandbox keeps a template from reaching out; this one also from going on for ever.

    Each round of a loop and each call counts, those of macros too, and a product may not grow out
    of bounds. A thread with a deadline would be left running.
    """

    intercepted_binops = frozenset(("*", "**"))

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._steps = threading.local()
        self.filters["counted"] = self.counted

    def begin(self) -> None:
        """Before each rendering."""
        self._steps.left = _MAX_STEPS

    def counted(self, values: Iterable[Any]) -> Iterator[Any]:
        for value in values:
            self._step()
            yield value

    def call(self, context: Any, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        self._step(_CALL_STEPS)
        if isinstance(obj, jinja2.runtime.LoopContext) and args:
            args = (self.counted(args[0]), *args[1:])
        return super().call(context, obj, *args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        for one, other in ((left, right), (right, left)):
            size = len(one) if hasattr(one, "__len__") else 0
            if operator == "*" and isinstance(other, int) and size * other > _MAX_SIZE:
                raise jinja2.TemplateRuntimeError("it makes a text that is too long")
        if operator == "**" and not (abs(left) <= _MAX_SIZE and abs(right) <= _MAX_POWER):
            raise jinja2.TemplateRuntimeError("it computes a number that is too large")
        return super().call_binop(context, operator, left, right)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(
                loop.iter, "counted", [], [], None, None, lineno=loop.lineno, environment=self
            )
        return tree

    def _step(self, steps: int = 1) -> None:
        self._steps.left -= steps
        if self._steps.left < 0:
            raise jinja2.TemplateRuntimeError("it takes too many steps")


def _environment() -> _Bounded:
    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    def to_json(value: Any, indent: int | None = None) -> str:
        import json

        return json.dumps(value, ensure_ascii=False, indent=indent)

    # The same options and globals as transformers gives a chat template.
    environment = _Bounded(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    return environment
