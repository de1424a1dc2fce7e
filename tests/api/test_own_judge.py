"""JAVIS as the judge of another JAVIS: over a real socket, with its key."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from javis.core.errors import EngineError
from javis.core.types import Message, SamplingParams
from javis.engine.scripted import ScriptedEngine
from javis.eval.judge import ChatModel, Judgement, PairJudge
from tests.api.conftest import MakeSite, serving
from tests.eval.test_judge import longer


def judging(messages: Sequence[Message], sampling: SamplingParams, version: str) -> str:
    """A version that prefers longer answers, and says so at length."""
    assert sampling.temperature == 0
    question = [{"role": m.role, "content": m.content} for m in messages]
    return f"Thinking as {version}: {longer(question)}"


def test_its_own_route_can_judge(make_site: MakeSite) -> None:
    site = make_site(engine=ScriptedEngine(judging), api_key="a-long-key")
    prompt = [Message("system", "짧게 답해 주세요."), Message("user", "어떤 차가 좋을까요?")]
    with serving(site.app) as address:
        model = ChatModel(f"{address}/v1", "base", "a-long-key", offline=True, wait_s=0.0)
        judge = PairJudge("own", model)
        better = judge.compare(prompt, "녹차를 추천합니다.", "녹차", wanted="녹차가 좋습니다.")
        assert better == Judgement(1.0, True, ("better", "better"))
        assert judge.compare(prompt, "녹차", "홍차입니다.").score == 0.0
        with pytest.raises(EngineError, match="401") as caught:
            ChatModel(f"{address}/v1", "base", "wrong-key", wait_s=0.0)([])
        assert caught.value.code == "judge_refused"
        assert "wrong-key" not in str(caught.value)
        with pytest.raises(EngineError, match="no version"):
            nobody = ChatModel(f"{address}/v1", "v9.9", "a-long-key", wait_s=0.0)
            nobody([{"role": "user", "content": "?"}])
