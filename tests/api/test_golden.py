"""`/api/golden`: for admins only."""

from __future__ import annotations

from tests.api.conftest import MakeSite, Site
from tests.api.test_completions import error_of

GOLDEN = "/api/golden"


def test_mark_list_and_take_out(site: Site) -> None:
    turn = str(site.chat("Which tea?")["turn_id"])
    marked = site.ask("PUT", f"{GOLDEN}/{turn}").json()
    assert marked["prompt"] == [{"role": "user", "content": "Which tea?"}]
    assert marked["wanted"] == marked["reply"] != ""
    assert marked["by"] == "local"
    assert site.get(GOLDEN).json() == {"rows": [marked], "total": 1}
    assert site.ask("DELETE", f"{GOLDEN}/{turn}").json() == {"removed": True}
    assert site.ask("DELETE", f"{GOLDEN}/{turn}").json() == {"removed": False}
    assert site.get(GOLDEN).json() == {"rows": [], "total": 0}
    gone = site.ask("PUT", f"{GOLDEN}/t_nowhere")
    assert error_of(gone, 404)["code"] == "no_turn"


def test_only_an_admin_may(make_site: MakeSite) -> None:
    site = make_site(password="pw", users="bob:bobpw", api_key="key")
    cookie = {"Cookie": f"{site.auth.cookie}={site.auth.log_in('bob', 'bobpw', '1.2.3.4')}"}
    turn = site.post("/api/chat", {"message": "hi"}, headers=cookie).json()["turn_id"]
    for method, path in (("GET", ""), ("PUT", f"/{turn}"), ("DELETE", f"/{turn}")):
        assert site.ask(method, GOLDEN + path).status_code == 401, method
        assert site.ask(method, GOLDEN + path, headers=cookie).status_code == 403, method
    assert site.store.golden.all() == []
    key = {"Authorization": "Bearer key"}
    assert site.ask("PUT", f"{GOLDEN}/{turn}", headers=key).status_code == 200
    assert [mark.by for mark in site.store.golden.all()] == ["local"]
