"""The page says when a correction was shown to the model, and answers without it on request."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.conftest import Open
from tests.e2e.serving import Served
from tests.e2e.steps import act, answered, chat, turn_id


def test_a_similar_question_names_the_correction_and_can_do_without(
    open_page: Open, served: Served
) -> None:
    page = open_page(user="recall")
    first = turn_id(chat(page, "Who wrote Hamlet?"))
    services = served.services
    services.feedback.rate("recall", first, "bad", correction="Shakespeare did.")
    services.recall.wait(60)

    turn = chat(page, "Who is the author of Hamlet?")
    expect(turn.locator(".jv-note")).to_contain_text("Used your correction of")
    used = turn_id(turn)
    assert services.chat.turn("recall", used).sources == (f"correction:{first}",)

    act(turn, "without").click()
    expect(page.locator(f'[data-turn-id="{used}"]')).to_have_count(0)
    again = answered(page)
    expect(again.locator(".jv-note")).not_to_contain_text("Used your correction")
    assert services.chat.turn("recall", turn_id(again)).sources == ()
