"""Login, sessions, the API key, and whose conversations are whose."""

from __future__ import annotations

import logging
import stat
import threading
import time
from pathlib import Path

import httpx
import pytest

from javis.api.auth import MAX_SECRET_BYTES, User, refuse_to_bind
from javis.api.login import language_of, local_path
from javis.api.sessions import FAILURES, MAX_TRACKED, SESSION_S, Sessions, Throttle, read_secret
from javis.core.errors import Busy, Forbidden, UserInputError
from javis.core.settings import Settings
from tests.api.conftest import ADDRESS, MakeSite, Site
from tests.api.test_completions import error_of

PASSWORD = "correct horse 말"
KEY = "canary-key-1234"
HTML = {"Accept": "text/html"}
GATED = [
    ("GET", "/"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/api/chat"),
    ("GET", "/api/conversations"),
    ("POST", "/api/conversations/import"),
    ("POST", "/gradio_api/cancel"),
    ("POST", "/logout"),
    ("GET", "/login/"),
    ("GET", "/health/x"),
    ("OPTIONS", "/api/chat"),
]


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    return make_site(password=PASSWORD, users="bob:bobs word, eva:evas:word", api_key=KEY)


def log_in(
    site: Site, password: str = PASSWORD, name: str = "", **options: object
) -> httpx.Response:
    return site.post("/login", {"name": name, "password": password}, **options)


def as_user(site: Site, name: str = "", password: str = PASSWORD) -> dict[str, str]:
    """The headers of somebody who has just logged in."""
    answer = log_in(site, password, name)
    assert answer.status_code == 200, answer.text
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


# The gate ------------------------------------------------------------------------------------


def test_without_a_password_everybody_is_the_user_of_this_computer(make_site: MakeSite) -> None:
    site = make_site()
    assert site.auth.user_of_headers({}) == User("local", is_admin=True)
    assert site.get("/api/conversations").status_code == 200
    assert site.get("/login", headers=HTML).headers["location"] == "/"
    assert list((site.services.settings.data_dir).glob("session*")) == []


@pytest.mark.parametrize(("method", "path"), GATED)
def test_the_gate_is_shut(site: Site, method: str, path: str) -> None:
    answer = site.ask(method, path, json={} if method == "POST" else None)
    assert error_of(answer, 401)["type"] == "authentication_error"
    if method == "GET":
        to_login = site.ask(method, path, headers=HTML)
        assert to_login.status_code == 303
        assert to_login.headers["location"].startswith("/login")


def test_what_stays_open(site: Site) -> None:
    assert site.get("/health").status_code == 200
    page = site.get("/login", headers=HTML)
    assert page.status_code == 200
    assert "<form" in page.text
    assert "//" not in page.text.replace("</", ""), "an address elsewhere"
    assert PASSWORD not in page.text


@pytest.mark.parametrize("mine", [as_user, lambda site: bearer(KEY)], ids=["cookie", "key"])
def test_the_gate_opens(site: Site, mine: object) -> None:
    headers = mine(site)  # type: ignore[operator]
    assert site.get("/api/conversations", headers=headers).status_code == 200
    assert site.get("/v1/models", headers=headers).status_code == 200
    assert site.auth.user_of_headers(headers) == User("local", is_admin=True)


@pytest.mark.parametrize(
    "headers",
    [
        bearer("wrong"),
        bearer(""),
        bearer("' OR 1=1"),
        bearer(KEY + "x"),
        bearer(KEY.upper()),
        bearer("ключ"),
        bearer(PASSWORD),
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"X-Api-Key": KEY},
        {"Cookie": "javis_session=x"},
    ],
    ids=range(11),
)
def test_wrong_keys(site: Site, headers: dict[str, str]) -> None:
    encoded = {name: value.encode() for name, value in headers.items()}
    error_of(site.get("/v1/models", headers=encoded), 401)


def test_a_key_in_the_address_opens_nothing(site: Site) -> None:
    for name in ("key", "api_key", "token", "access_token"):
        error_of(site.get("/v1/models", params={name: KEY}), 401)


def test_a_wrong_key_counts_also_where_none_is_needed(make_site: MakeSite) -> None:
    site = make_site(api_key=KEY)
    assert site.get("/v1/models").status_code == 200
    assert site.get("/v1/models", headers=bearer(KEY)).status_code == 200
    error_of(site.get("/v1/models", headers=bearer("wrong")), 401)
    # Without a key to compare, the dummy that the OpenAI client insists on is left alone.
    assert make_site().get("/v1/models", headers=bearer("dummy")).status_code == 200


# Logging in ----------------------------------------------------------------------------------


def test_login_by_form_and_the_way_back(site: Site) -> None:
    form = {"name": "", "password": PASSWORD, "next": "/docs?x=1"}
    answer = site.ask("POST", "/login", data=form, headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/docs?x=1")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert f"Max-Age={SESSION_S}" in cookie
    assert "Secure" not in cookie


def test_the_cookie_is_secure_over_https(site: Site) -> None:
    site.address = "https://127.0.0.1:7860"
    assert "Secure" in log_in(site).headers["set-cookie"]
    site.address = ADDRESS
    proxied = log_in(site, headers={"Origin": "https://127.0.0.1:7860"})
    assert "Secure" in proxied.headers["set-cookie"]


@pytest.mark.parametrize(
    "password", ["", " ", "wrong", PASSWORD + "x", "x" * 1025, PASSWORD.upper()]
)
def test_wrong_passwords(site: Site, password: str) -> None:
    answer = log_in(site, password)
    assert error_of(answer, 401)["code"] == "wrong_login"
    assert "set-cookie" not in answer.headers
    form = {"name": "", "password": password}
    page = site.ask("POST", "/login", data=form, headers=HTML | {"Accept-Language": "ko-KR"})
    assert page.status_code == 401
    assert "비밀번호가 맞지 않습니다" in page.text
    assert "set-cookie" not in page.headers


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe=&&&", b"a&" * 1000, b"password=" + b"x" * 9000, b"{", b"[]", b"7"]
)
def test_broken_logins(site: Site, content: bytes) -> None:
    for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = site.ask("POST", "/login", content=content, headers={"Content-Type": kind})
        assert answer.status_code in (400, 401, 429), answer.text
        assert "Traceback" not in answer.text


def test_guessing_has_to_wait(site: Site) -> None:
    for _ in range(FAILURES):
        error_of(log_in(site, "wrong"), 401)
    answer = log_in(site)
    assert "seconds" in error_of(answer, 429)["message"]
    assert 50 <= int(answer.headers["retry-after"]) <= 61
    page = site.ask("POST", "/login", data={"password": PASSWORD}, headers=HTML)
    assert page.status_code == 429
    assert "seconds" in page.text
    assert log_in(site, "bobs word", "bob").status_code == 200, "another user is not locked out"


def test_a_forwarded_address_is_no_new_guesser(site: Site) -> None:
    for number in range(FAILURES):
        spoof = {"X-Forwarded-For": f"10.0.0.{number}"}
        error_of(log_in(site, "wrong", headers=spoof), 401)
    for name in ("X-Forwarded-For", "X-Real-IP", "CF-Connecting-IP"):
        error_of(log_in(site, headers={name: "10.9.9.9"}), 429)
    error_of(log_in(site, headers={"Forwarded": "for=10.9.9.9"}), 429)


def test_guessing_names_has_to_wait(site: Site) -> None:
    for number in range(FAILURES):
        error_of(log_in(site, "wrong", f"nobody{number}"), 401)
    error_of(log_in(site, "wrong", "somebody"), 429)


def test_parallel_guesses_are_counted_one_by_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def slow(left: bytes, right: bytes) -> bool:
        time.sleep(0.005)
        return left == right

    monkeypatch.setattr("javis.api.auth.hmac.compare_digest", slow)

    def guess() -> None:
        try:
            site.auth.log_in("admin", "wrong", "1.2.3.4")
        except (Forbidden, Busy) as error:
            told.append(error.code)

    threads = [threading.Thread(target=guess) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count("wrong_login") == FAILURES
    assert told.count("too_many_logins") == 50 - FAILURES


def test_the_wait_ends_and_memory_is_bounded() -> None:
    now = [1000.0]
    throttle = Throttle(lambda: now[0])
    key = ("admin", "::1")
    for _ in range(FAILURES):
        throttle.check(key)
        throttle.failed(key)
    with pytest.raises(Busy):
        throttle.check(key)
    now[0] += 61
    throttle.check(key)
    for number in range(MAX_TRACKED + 100):
        throttle.failed(("", str(number)))
    assert len(throttle._failures) <= MAX_TRACKED


# Sessions ------------------------------------------------------------------------------------


def test_logout_ends_the_session_for_good(site: Site, make_site: MakeSite) -> None:
    mine, other = as_user(site), as_user(site)
    answer = site.post("/logout", headers=mine)
    assert answer.json() == {"logged_in": False}
    assert "Max-Age=0" in answer.headers["set-cookie"]
    error_of(site.get("/api/versions", headers=mine), 401)
    assert site.get("/api/versions", headers=other).status_code == 200
    again = make_site(password=PASSWORD)
    error_of(again.get("/api/versions", headers=mine), 401)
    assert again.get("/api/versions", headers=other).status_code == 200, "after a restart"


def test_logout_on_the_page(site: Site) -> None:
    answer = site.post("/logout", headers=as_user(site) | HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_a_new_password_ends_the_old_sessions(site: Site, make_site: MakeSite) -> None:
    mine, bob = as_user(site), as_user(site, "bob", "bobs word")
    changed = make_site(password="new", users="bob:bobs word")
    error_of(changed.get("/api/versions", headers=mine), 401)
    assert changed.get("/api/versions", headers=bob).status_code == 200
    without_bob = make_site(password="new")
    error_of(without_bob.get("/api/versions", headers=bob), 401)


def test_altered_cookies(site: Site) -> None:
    name, _, value = as_user(site, "bob", "bobs word")["Cookie"].partition("=")
    label, expiry, nonce, signature = value.split(".")
    admin = "YWRtaW4"
    altered = [
        f"{admin}.{expiry}.{nonce}.{signature}",
        f"{label}.{int(expiry) + 1}.{nonce}.{signature}",
        f"{label}.{expiry}.{nonce[::-1]}.{signature}",
        f"{label}.{expiry}.{nonce}.{signature[:-1]}",
        f"{label}.{expiry}.{nonce}.",
        f"{label}.{expiry}.{nonce}",
        f"{label}.x.{nonce}.{signature}",
        f"{label}.{expiry}.{nonce}.{signature}.",
        f"{label}.{expiry}.{nonce}.é",
        "....",
        "",
        "x" * 5000,
    ]
    for wrong in altered:
        headers = {"Cookie": f"{name}={wrong}".encode()}
        error_of(site.get("/api/versions", headers=headers), 401)
    many = {"Cookie": f"bad=[}}; {name}={value}; theme=a b"}
    assert site.get("/api/versions", headers=many).status_code == 200


def test_sessions_end_by_themselves(tmp_path: Path) -> None:
    now = [1000.0]
    sessions = Sessions(b"s" * 32, lambda name: b"key", tmp_path / "ended", lambda: now[0])
    value = sessions.start("이름")
    now[0] += SESSION_S - 1
    assert sessions.name_of(value) == "이름"
    now[0] += 1
    assert sessions.name_of(value) is None
    ended = sessions.start("a")
    sessions.end(ended)
    assert (tmp_path / "ended").read_text("ascii").count("\n") == 1
    now[0] += SESSION_S
    sessions.end(sessions.start("b"))
    assert (tmp_path / "ended").read_text("ascii").count("\n") == 1, "old ones are forgotten"


def test_a_damaged_list_of_ended_sessions(tmp_path: Path) -> None:
    (tmp_path / "ended").write_bytes(b"\x00\xff one two three")
    sessions = Sessions(b"s" * 32, lambda name: b"key", tmp_path / "ended")
    assert sessions.name_of(sessions.start("a")) == "a"


def test_the_secret(tmp_path: Path) -> None:
    path = tmp_path / "data" / "session.key"
    first = read_secret(path)
    assert len(first) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_secret(path) == first
    assert [p.name for p in path.parent.iterdir()] == ["session.key"]
    path.write_bytes(b"")
    path.chmod(0o644)
    second = read_secret(path)
    assert len(second) == 32 and second != first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# Users ---------------------------------------------------------------------------------------


def test_one_user_sees_nothing_of_another(site: Site) -> None:
    bob, eva = as_user(site, "bob", "bobs word"), as_user(site, "eva", "evas:word")
    turn = site.post("/api/chat", {"message": "canary"}, headers=bob).json()
    path = f"/api/conversations/{turn['conversation_id']}"
    feedback = {"turn_id": turn["turn_id"], "rating": "good"}
    more = {"message": "x", "conversation_id": turn["conversation_id"]}
    assert site.get(path, headers=bob).status_code == 200
    for other in (eva, as_user(site)):
        assert site.get("/api/conversations", headers=other).json()["total"] == 0
        assert "canary" not in site.get("/api/conversations/export", headers=other).text
        for answer in (
            site.get(path, headers=other),
            site.get(f"{path}/export", headers=other),
            site.ask("DELETE", path, headers=other),
            site.ask("PATCH", path, json={"title": "x"}, headers=other),
            site.post(f"{path}/restore", headers=other),
            site.post("/api/chat", more, headers=other),
            site.post("/api/chat", more | {"stream": True}, headers=other),
            site.post(f"/api/chat/{turn['conversation_id']}/stop", headers=other),
            site.post("/api/feedback", feedback, headers=other),
            site.get(f"/api/feedback/{turn['turn_id']}", headers=other),
        ):
            error_of(answer, 404)


def test_setting_a_password_hides_nothing(make_site: MakeSite) -> None:
    turn = make_site().chat("before")
    locked = make_site(password=PASSWORD)
    path = f"/api/conversations/{turn['conversation_id']}"
    assert locked.get(path, headers=as_user(locked)).status_code == 200


def test_admin_only(site: Site) -> None:
    class Asked:
        def __init__(self, headers: dict[str, str]) -> None:
            self.headers = headers

    assert site.auth.require_admin(Asked(as_user(site))).is_admin
    bob = Asked(as_user(site, "bob", "bobs word"))
    assert site.auth.user_of(bob) == User("bob", is_admin=False)
    with pytest.raises(Forbidden, match="Only the admin"):
        site.auth.require_admin(bob)
    with pytest.raises(Forbidden, match="Log in"):
        site.auth.user_of(Asked({}))


@pytest.mark.parametrize(
    "users",
    ["bob", "bob:", ":word", "bob: ", "admin:word", "local:word", "bob:a,bob:b", "x" * 65 + ":w"],
)
def test_bad_users_are_told_without_their_passwords(make_site: MakeSite, users: str) -> None:
    with pytest.raises(UserInputError) as told:
        make_site(password="p", users=users)
    assert "word" not in str(told.value).replace("password", "")


def test_users_need_an_admin(make_site: MakeSite) -> None:
    with pytest.raises(UserInputError, match="JAVIS_PASSWORD"):
        make_site(users="bob:word")


def test_long_secrets(make_site: MakeSite) -> None:
    with pytest.raises(UserInputError, match="1024"):
        make_site(password="x" * (MAX_SECRET_BYTES + 1))
    site = make_site(password="x" * MAX_SECRET_BYTES)
    assert log_in(site, "x" * MAX_SECRET_BYTES).status_code == 200


def test_no_open_door_to_the_network() -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        refuse_to_bind(Settings(_env_file=None, host=host))
    for host in ("0.0.0.0", "::", "192.168.1.5", "chat.example.com"):
        with pytest.raises(UserInputError) as told:
            refuse_to_bind(Settings(_env_file=None, host=host, api_key="k"))
        assert told.value.code == "needs_password"
        with pytest.raises(UserInputError):
            refuse_to_bind(Settings(_env_file=None, host=host, password="  "))
        refuse_to_bind(Settings(_env_file=None, host=host, password="p"))


# Small parts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("/docs?x=1", "/docs?x=1"),
        ("//evil.com", "/"),
        ("/\\evil.com", "/"),
        ("https://evil.com", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("/x\\y", "/"),
        ("", "/"),
    ],
)
def test_no_way_out_through_the_login(site: Site, wanted: str, path: str) -> None:
    assert local_path(wanted) == path
    form = {"password": PASSWORD, "next": wanted}
    assert site.ask("POST", "/login", data=form, headers=HTML).headers["location"] == path
    page = site.get("/login", params={"next": wanted + '"><script>'}, headers=HTML)
    assert "<script>" not in page.text


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("en-US,en;q=0.9,ko;q=0.8", "en"),
        ("de,ko;q=0.5", "ko"),
        ("ko;q=0.1,en;q=0.9", "en"),
        ("de", "en"),
        ("", "en"),
        ("ko;q=x,,;;", "en"),
        (",".join(["x"] * 10_000), "en"),
    ],
)
def test_language(accepted: str, language: str) -> None:
    assert language_of(accepted) == language


def test_secrets_are_in_no_log_error_or_repr(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    cookie = as_user(site)["Cookie"]
    texts = [repr(site.auth), str(vars(site.auth))]
    for headers in (bearer(KEY), bearer(KEY + "x"), {"Cookie": cookie + "x"}):
        for path in ("/v1/models", "/v1/chat/completions", "/no-such"):
            texts.append(site.post(path, {"x": KEY}, headers=headers).text)
    texts += [log_in(site, PASSWORD + "x").text, caplog.text]
    for text in texts:
        assert KEY not in text
        assert PASSWORD not in text
        assert cookie.partition("=")[2] not in text


def test_a_key_is_taken_without_the_spaces_around_it(make_site: MakeSite) -> None:
    site = make_site(api_key=f" {KEY}\n")
    assert site.get("/v1/models", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    with pytest.raises(UserInputError, match="JAVIS_API_KEY"):
        make_site(api_key="비밀키")
