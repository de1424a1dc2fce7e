"""`/api/versions`: who may switch what, and what is said of it."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from javis.api.body_limit import FILE_PATHS
from javis.api.errors import install_handlers
from javis.api.guards import install_guards
from javis.api.versions import versions_router
from javis.service.versions import VersionService
from javis.versions.publish import Publisher
from javis.versions.registry import Registry
from tests.api.conftest import MakeSite, Site
from tests.api.test_auth import PASSWORD, as_user
from tests.api.test_completions import error_of
from tests.versions.making import METADATA, add_version, make_adapter

ZIP = {"Content-Type": "application/zip"}
REPORT = {"verdict": {"passed": True, "checks": []}, "curve": [{"step": 1, "loss": 2.0}]}


def with_versions(site: Site, tmp_path: Path) -> Site:
    """The site's routes over two real versions."""
    models = tmp_path / "models"
    models.mkdir(exist_ok=True)
    add_version(models, 0, base_model="scripted")
    wanted = METADATA | {"base_model": "scripted", "parent": "v1.0"}
    Publisher(models).publish(make_adapter(tmp_path / "made"), wanted, REPORT, job="run")
    versions = VersionService(site.engine, Registry(models), store=site.store)
    services = replace(site.services, versions=versions)
    app = FastAPI()
    install_handlers(app)
    app.include_router(versions_router(services, site.auth))
    install_guards(app, services.settings, site.auth)
    return replace(site, services=services, app=app)


@pytest.fixture
def shelf(site: Site, tmp_path: Path) -> Site:
    return with_versions(site, tmp_path)


@pytest.fixture
def guarded(make_site: MakeSite, tmp_path: Path) -> tuple[Site, dict[str, str], dict[str, str]]:
    """(site, headers of the admin, headers of bob)."""
    site = make_site(password=PASSWORD, users="bob:bobs word")
    admin, bob = as_user(site), as_user(site, "bob", "bobs word")
    return with_versions(site, tmp_path), admin, bob


def packed(folder: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    return out.getvalue()


def current(site: Site) -> Any:
    return site.get("/api/versions").json()["current"]


def test_the_list_tells_the_admin_everything(shelf: Site) -> None:
    body = shelf.get("/api/versions").json()
    assert (body["current"], body["rollback_to"], body["pinned"]) == ("base", None, False)
    assert (body["notice"], body["drop"]) == (None, None)
    newest = body["versions"][-1]
    assert newest["name"] == "v1.1"
    assert newest["usable"] is True
    assert newest["parent"] == "v1.0"
    assert newest["verdict"] == REPORT["verdict"]
    assert newest["curve"] == REPORT["curve"]
    assert newest["training_data"]["total_turns"] == 20
    assert newest["thumbs"] == {"good": 0, "bad": 0, "rate": 0.5, "low": 0.0, "high": 1.0}
    assert newest["can_delete"] is True
    assert [e["to"] for e in body["history"]] == ["v1.0", "v1.1"]
    assert "models" not in str(body), "no paths of the server"


def test_promote_roll_back_and_delete(shelf: Site) -> None:
    first = shelf.post("/api/versions/v1.0/promote", {"note": "why not"})
    assert first.json()["current"] == "v1.0"
    assert len(first.json()["sha256"]) == 64
    assert shelf.post("/api/versions/v1.1/promote").json()["rollback_to"] == "v1.0"
    error = error_of(shelf.ask("DELETE", "/api/versions/v1.0"))
    assert error["code"] == "keep_parent"
    assert shelf.post("/api/versions/rollback").json()["current"] == "v1.0"
    assert shelf.ask("DELETE", "/api/versions/v1.1").json() == {"name": "v1.1", "deleted": True}
    assert shelf.post("/api/versions/base/promote").json()["current"] == "base"
    events = shelf.get("/api/versions").json()["history"]
    assert [(e["by"], e["reason"], e["note"]) for e in events if e["reason"] != "published"] == [
        ("local", "promoted", "why not"),
        ("local", "promoted", ""),
        ("local", "rolled_back", ""),
        ("local", "deleted", ""),
        ("local", "promoted", ""),
    ]


def test_rolling_back_from_the_base_says_so(shelf: Site) -> None:
    assert error_of(shelf.post("/api/versions/rollback"))["code"] == "nothing_before"


@pytest.mark.parametrize("name", ["v9.9", "current", "v1.0%2f..", "%2e%2e", "v1.0;x", "V1.0"])
def test_names_that_are_no_versions_are_not_found(shelf: Site, name: str) -> None:
    for method, path in (("POST", f"{name}/promote"), ("DELETE", name)):
        answer = shelf.ask(method, f"/api/versions/{path}")
        assert answer.status_code in (404, 405), answer.text
    assert current(shelf) == "base"


def test_import(shelf: Site, tmp_path: Path) -> None:
    source = make_adapter(tmp_path / "theirs", base_model_name_or_path="scripted")
    answer = shelf.ask("POST", "/api/versions/import", content=packed(source), headers=ZIP)
    assert answer.status_code == 200, answer.text
    assert answer.json()["name"] == "v2.0"
    assert answer.json()["usable"] is True
    assert current(shelf) == "base"
    assert shelf.post("/api/versions/v2.0/promote").json()["current"] == "v2.0"


def test_a_bad_import_is_refused_in_plain_words(shelf: Site, tmp_path: Path) -> None:
    def send(data: bytes, **headers: str) -> httpx.Response:
        return shelf.ask("POST", "/api/versions/import", content=data, headers=ZIP | headers)

    assert error_of(send(b"hello"))["code"] == "adapter_refused"
    assert error_of(send(b""))["code"] == "adapter_refused"
    wrong = make_adapter(tmp_path / "wrong", base_model_name_or_path="Qwen/Qwen2.5-7B-Instruct")
    assert "made for Qwen" in error_of(send(packed(wrong)))["message"]
    code = error_of(send(b"x", **{"Content-Type": "text/plain"}))["code"]
    assert code == "not_zip"
    assert [v["name"] for v in shelf.get("/api/versions").json()["versions"]] == [
        *("base", "v1.0", "v1.1")
    ]


def test_an_adapter_of_the_embedded_model_fits_through_the_door() -> None:
    assert "/api/versions/import" in FILE_PATHS


def test_only_the_admin_may_change_anything(
    guarded: tuple[Site, dict[str, str], dict[str, str]],
) -> None:
    site, admin, bob = guarded
    tries = [
        ("POST", "/api/versions/v1.0/promote", {}),
        ("POST", "/api/versions/rollback", {}),
        ("POST", "/api/versions/import", {"content": b"x", "headers": ZIP}),
        ("DELETE", "/api/versions/v1.0", {}),
    ]
    for method, path, options in tries:
        headers = options.pop("headers", {})
        error_of(site.ask(method, path, headers=headers, **options), 401)
        error = error_of(site.ask(method, path, headers=headers | bob, **options), 403)
        assert error["code"] == "admin_only"
    body = site.get("/api/versions", headers=bob).json()
    assert set(body) == {"current", "versions"}
    assert set(body["versions"][1]) == {
        *("name", "base_model", "sha256", "created_at", "method", "notes", "usable", "refused")
    }
    done = site.post("/api/versions/v1.0/promote", headers=admin)
    assert done.json()["current"] == "v1.0"


@pytest.mark.parametrize("body", [{"note": 3}, {"note": "x" * 1001}, [], "x"])
def test_a_strange_body_is_refused(shelf: Site, body: object) -> None:
    error_of(shelf.post("/api/versions/v1.0/promote", body))
    assert current(shelf) == "base"
