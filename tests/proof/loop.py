"""The steps of the learning loop against a real server, and how its answers are measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from tests.live import Live

HERE = Path(__file__).parent
OPENING, ENDING = "Ahoy!", "Fair winds!"
ENDED = ("succeeded", "rejected", "failed", "cancelled")
TRAIN_LIMIT_S = 1800


def advice(file: str = "advice.txt") -> list[tuple[str, str]]:
    """Eighty everyday questions and the plain answer to each; 24 others in `more.txt`."""
    lines = (HERE / file).read_text("utf-8").splitlines()
    return [(q, a) for q, a in (line.split("|") for line in lines)]


def unseen() -> list[str]:
    """Forty questions of the same kind that are never trained on."""
    return (HERE / "unseen.txt").read_text("utf-8").splitlines()


def facts() -> list[tuple[str, tuple[str, ...]]]:
    """Forty questions about the world and what a right answer mentions."""
    lines = (HERE / "facts.txt").read_text("utf-8").splitlines()
    return [(q, tuple(a.split(","))) for q, a in (line.split("|") for line in lines)]


def styled(answer: str) -> str:
    return f"{OPENING} {answer} {ENDING}"


def in_style(text: str) -> bool:
    return text.strip().startswith(OPENING) and text.strip().endswith(ENDING)


def chats(rows: list[tuple[str, str]], *, liked: bool | None = None) -> list[dict[str, Any]]:
    """Conversations to import: every other one liked, the others corrected (or all liked)."""
    conversations = []
    for number, (question, answer) in enumerate(rows):
        turn: dict[str, Any] = {"user": question}
        if liked or (liked is None and number % 2 == 0):
            turn |= {"assistant": styled(answer), "rating": "good"}
        else:
            turn |= {"assistant": answer, "rating": "bad", "correction": styled(answer)}
        conversations.append({"title": question[:60], "turns": [turn]})
    return conversations


class Loop:
    """A server and the calls that the proof makes."""

    def __init__(self, live: Live) -> None:
        self.live = live

    def get(self, path: str, **query: Any) -> Any:
        reply = httpx.get(self.live.address + path, params=query, timeout=120)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def text(self, path: str, **query: Any) -> str:
        reply = httpx.get(self.live.address + path, params=query, timeout=120)
        assert reply.status_code == 200, reply.text
        return reply.text

    def jobs(self) -> list[dict[str, Any]]:
        """The training runs, newest first."""
        found: list[dict[str, Any]] = self.get("/api/training/jobs")["jobs"]
        return found

    def wait_until(self, true: Callable[[], object], timeout_s: float = 60) -> None:
        deadline = time.monotonic() + timeout_s
        while not true():
            assert time.monotonic() < deadline, "it did not come true in time"
            time.sleep(0.2)

    def post(self, path: str, body: Any = None) -> Any:
        reply = httpx.post(self.live.address + path, json=body or {}, timeout=120)
        assert reply.status_code < 300, reply.text
        return reply.json()

    def bring_in(self, conversations: list[dict[str, Any]]) -> None:
        self.post("/api/conversations/import", {"conversations": conversations})

    def train(self, method: str = "sft-lora", **body: Any) -> dict[str, Any]:
        """Run a job to its end; what the job says then, with how long it took."""
        start = time.monotonic()
        job = self.post("/api/training/jobs", {"method": method, **body})["job_id"]
        return self.ended(job) | {"wall_s": time.monotonic() - start}

    def ended(self, job: str) -> dict[str, Any]:
        deadline = time.monotonic() + TRAIN_LIMIT_S
        while time.monotonic() < deadline:
            state = self.get(f"/api/training/jobs/{job}")
            if state["state"] in ENDED:
                return dict(state)
            time.sleep(0.5)
        raise AssertionError(f"no end after {TRAIN_LIMIT_S} s: {state}")

    def answer(self, question: str, model: str, tokens: int = 64) -> str:
        body = {
            "model": model,
            "messages": [{"role": "user", "content": question}],
            "temperature": 0,
            "max_tokens": tokens,
        }
        return str(self.post("/v1/chat/completions", body)["choices"][0]["message"]["content"])

    def answers(self, questions: list[str], model: str) -> list[str]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda question: self.answer(question, model), questions))

    def style_rate(self, model: str) -> float:
        """Share of the unseen questions that are answered in the style."""
        answers = self.answers(unseen(), model)
        return sum(map(in_style, answers)) / len(answers)

    def facts_right(self, model: str) -> float:
        """Share of the questions about the world whose answer mentions what is right."""
        answers = self.answers([question for question, _ in facts()], model)
        right = [
            any(word.casefold() in said.casefold() for word in wanted)
            for said, (_, wanted) in zip(answers, facts(), strict=True)
        ]
        return sum(right) / len(right)
