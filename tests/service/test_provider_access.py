"""On a hub a provider is its owner's, until an administrator shares one of theirs; nobody's address leads inside."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from llmws.settings import Settings

from .harness import Running, running_service, wait_for
from .test_edge import error
from .test_hub_identity import ADMIN, CHAT, TRAIN, Hub, by, serving, user
from .test_providers import ASKED
from .vendor_server import VendorServer, vendor_server


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    with vendor_server() as server:
        yield server


@pytest.fixture
def hub() -> Iterator[Hub]:
    people = {
        "a": user("ann", CHAT, TRAIN, ADMIN),
        "c": user("carl", CHAT, TRAIN, ADMIN),
        "r": user("rosa", CHAT, TRAIN, groups=["researchers"]),
        "o": user("otto", CHAT, TRAIN),
        "b": user("bob", CHAT),
    }
    with serving(Hub(people)) as running:
        yield running


@pytest.fixture
def service(settings: Settings, hub: Hub) -> Iterator[Running]:
    """An administrator allowed providers on this machine."""
    settings = replace(settings, idle_exit_s=0.0, provider_hosts=("127.0.0.1", "localhost"))
    with running_service(settings, hub.service) as running:
        yield running


def call(service: Running, token: str, method: str, path: str, body: Any = None) -> Any:
    return service.http.request(method, f"/api{path}", json=body, headers=by(token))


def add(service: Running, token: str, vendor: VendorServer, of: str = "compatible", **more: Any) -> dict[str, Any]:
    """A provider of the token's person, once it has listed its models."""
    body = {"vendor": of, "base_url": vendor.url, "key": "sk-good-1", **more}
    added = call(service, token, "POST", "/providers", body)
    assert added.status_code == 201, added.text
    synced: dict[str, Any] = call(service, token, "POST", f"/providers/{added.json()['id']}/sync").json()
    return synced


def offered(service: Running, token: str) -> set[str]:
    """The models of providers that the person may ask; what is listed is what can be asked."""
    listed = {model["id"] for model in call(service, token, "GET", "/models").json()["items"]} - {"echo"}
    for model in ("compatible/m", "compatible/m-large"):
        asked = service.http.post("/v1/chat/completions", json={"model": model, **ASKED}, headers=by(token))
        assert asked.status_code == (200 if model in listed else 404), asked.text
    return listed


def status(service: Running, token: str, method: str, path: str, body: Any = None) -> int:
    return int(call(service, token, method, path, body).status_code)


def test_a_provider_is_its_owner_s(service: Running, vendor: VendorServer) -> None:
    add(service, "r", vendor)
    assert len(offered(service, "r")) == 3
    key = call(service, "r", "GET", "/providers/compatible").json()["keys"][0]["id"]
    tries = [
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("DELETE", "", None),
        ("GET", "/models", None),
        ("POST", "/sync", None),
        ("POST", "/test", None),
        ("POST", "/keys", {"key": "sk-2"}),
        ("PATCH", f"/keys/{key}", {"label": "x"}),
        ("DELETE", f"/keys/{key}", None),
        ("GET", "/grants", None),
        ("PUT", "/models/m/capabilities/tools", {"value": True}),
    ]
    for method, path, body in tries:
        assert status(service, "o", method, f"/providers/compatible{path}", body) == 404, (method, path)
    assert call(service, "o", "GET", "/providers").json()["items"] == []
    assert offered(service, "o") == set()
    # Whoever may chat and no more adds none.
    assert status(service, "b", "POST", "/providers", {"vendor": "deepseek"}) == 403
    assert status(service, "b", "POST", "/providers/test", {"vendor": "deepseek"}) == 403
    assert offered(service, "b") == set()


def test_an_administrator_shares_their_own_with_a_person_and_a_group(service: Running, vendor: VendorServer) -> None:
    add(service, "a", vendor)
    assert status(service, "a", "PUT", "/providers/compatible/grants/group/researchers") == 200
    assert status(service, "a", "PUT", "/providers/compatible/grants/person/bob") == 200
    assert len(offered(service, "r")) == len(offered(service, "b")) == 3
    assert offered(service, "o") == set()
    seen = call(service, "b", "GET", "/providers").json()["items"][0]
    assert (seen["owner"], seen["mine"], seen["keys"], seen["shared_with"]) == ("ann", False, [], [])
    mine = call(service, "a", "GET", "/providers/compatible").json()
    assert [one["grantee"] for one in mine["shared_with"]] == ["researchers", "bob"]
    assert status(service, "r", "PATCH", "/providers/compatible", {"name": "x"}) == 403
    assert status(service, "r", "POST", "/providers/compatible/keys", {"key": "sk-2"}) == 403
    assert status(service, "r", "POST", "/providers/compatible/sync") == 200
    assert status(service, "a", "DELETE", "/providers/compatible/grants/person/bob") == 204
    assert offered(service, "b") == set()
    assert len(offered(service, "r")) == 3


def test_a_single_model_is_shared(service: Running, vendor: VendorServer) -> None:
    add(service, "a", vendor)
    for grants in ("/models/compatible/m/grants", "/models/compatible%2Fm/grants"):
        assert status(service, "a", "PUT", f"{grants}/person/bob") == 200
        assert call(service, "a", "GET", grants).json()["items"][0]["grantee"] == "bob"
        assert offered(service, "b") == {"compatible/m"}
        assert status(service, "r", "GET", grants) == 404
        models = call(service, "b", "GET", "/providers/compatible/models").json()["items"]
        assert [model["id"] for model in models] == ["compatible/m"]
        assert status(service, "a", "DELETE", f"{grants}/person/bob") == 204
        assert offered(service, "b") == set()


def test_who_does_not_administer_shares_no_money(service: Running, vendor: VendorServer) -> None:
    add(service, "r", vendor)
    assert status(service, "r", "PUT", "/providers/compatible/grants/person/bob") == 403
    assert status(service, "r", "PUT", "/models/compatible/m/grants/person/bob") == 403
    assert call(service, "r", "GET", "/providers/compatible/grants").json()["items"] == []


def test_an_administrator_switches_off_and_removes_what_is_not_theirs_and_spends_nothing_of_it(
    service: Running, vendor: VendorServer
) -> None:
    add(service, "r", vendor)
    assert call(service, "a", "GET", "/providers").json()["items"] == []
    assert offered(service, "a") == set()
    [seen] = call(service, "a", "GET", "/providers?everyone=1").json()["items"]
    assert (seen["owner"], seen["mine"], len(seen["keys"])) == ("rosa", False, 1)
    assert call(service, "o", "GET", "/providers?everyone=1").json()["items"] == []
    # Neither do they lead somebody's key to a server of their own, nor give away somebody's money.
    for change in ({"base_url": "http://127.0.0.1:1/v1"}, {"only": []}, {"fallbacks": ["echo"]}, {"name": "x"}):
        assert status(service, "a", "PATCH", "/providers/compatible", {**change, "enabled": False}) == 403
    assert status(service, "a", "PUT", "/providers/compatible/grants/person/ann") == 403
    assert status(service, "a", "PUT", "/models/compatible/m/grants/person/ann") == 404
    assert status(service, "a", "POST", "/providers/compatible/keys", {"key": "sk-2"}) == 403
    assert status(service, "a", "PATCH", "/providers/compatible", {"enabled": False}) == 200
    assert offered(service, "r") == set()
    assert status(service, "a", "DELETE", "/providers/compatible") == 204
    assert call(service, "r", "GET", "/providers").json()["items"] == []


def test_a_test_asks_nothing_that_the_person_may_not(service: Running, vendor: VendorServer) -> None:
    add(service, "a", vendor, of="deepseek")
    assert status(service, "a", "PUT", "/models/deepseek/m-large/grants/person/otto") == 200
    vendor.asked.clear()
    assert status(service, "o", "POST", "/providers/deepseek/test", {"model": "m"}) == 404
    # Carl sees every provider, and spends of others' nothing.
    assert status(service, "c", "POST", "/providers/deepseek/test", {"model": "m"}) == 404
    assert call(service, "c", "POST", "/providers/deepseek/test").json()["code"] == "ok"
    assert vendor.asked_with() == []
    assert call(service, "o", "POST", "/providers/deepseek/test").json()["code"] == "ok"
    assert [body["model"] for path, _, body in vendor.asked if path == "/chat/completions"] == ["m-large"]


def test_a_server_that_is_tried_counts_as_nobody_else_s(service: Running, vendor: VendorServer) -> None:
    """It says itself what was used, and the figures and limits of a provider are not its to fill."""
    add(service, "a", vendor, of="deepseek")
    body = {"vendor": "deepseek", "base_url": vendor.url, "key": "sk-good-1"}
    for taken in ("deepseek", "echo"):
        assert status(service, "r", "POST", "/providers/test", {**body, "id": taken}) == 409
    assert call(service, "r", "POST", "/providers/test", body).json()["code"] == "ok"
    used = call(service, "r", "GET", "/usage/calls").json()["items"]
    assert [(row["provider"], row["model"]) for row in used] == [("deepseek-2", "deepseek-2/m")]


def test_a_fallback_is_asked_only_by_those_who_may(service: Running, vendor: VendorServer) -> None:
    with vendor_server() as broken:
        broken.models = ["m"]
        add(service, "a", vendor, id="spare")
        add(service, "a", broken, fallbacks=["spare/m"])
        broken.open_list = True
        broken.refusals["sk-good-1"] = 503, "Overloaded"
        call(service, "a", "PUT", "/providers/compatible/grants/person/bob")
        body = {"model": "compatible/m", **ASKED}
        statuses = [service.http.post("/v1/chat/completions", json=body, headers=by(one)).status_code for one in "ab"]
    assert statuses == [200, 503]


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/v1", "http://localhost:9/v1", "http://10.1.2.3/v1", "http://[::1]:9/v1"]
)
def test_an_address_inside_is_refused_unless_an_administrator_allowed_it(
    settings: Settings, hub: Hub, address: str
) -> None:
    body = {"vendor": "compatible", "base_url": address, "enabled": False}
    with running_service(replace(settings, idle_exit_s=0.0), hub.service) as service:
        for token in "ra":
            told = error(call(service, token, "POST", "/providers", body), 422)
            assert "may not be asked" in told["message"]
            assert "LLMWS_PROVIDER_HOSTS" in told["remedy"]
        # What a row of the catalogue leads to is inside, too.
        error(call(service, "r", "POST", "/providers", {"vendor": "vllm"}), 422)
    allowed = replace(settings, idle_exit_s=0.0, provider_hosts=("127.0.0.0/8", "10.1.0.0/16", "::1", "localhost"))
    with running_service(allowed, hub.service) as service:
        assert status(service, "r", "POST", "/providers", body) == 201


def test_a_name_that_leads_inside_is_refused_when_it_is_connected_to(
    settings: Settings, hub: Hub, vendor: VendorServer
) -> None:
    """This machine's own name is known to lead here."""
    name = socket.gethostname()
    with running_service(replace(settings, idle_exit_s=0.0), hub.service) as service:
        body = {"vendor": "compatible", "base_url": vendor.url.replace("127.0.0.1", name), "key": "sk-good-1"}
        verdict = call(service, "r", "POST", "/providers/test", body).json()
        assert verdict["code"] in ("address_not_allowed", "name_not_found")
    assert vendor.asked == []


def test_what_an_administrator_wrote_into_the_file_may_be_inside(
    settings: Settings, hub: Hub, vendor: VendorServer
) -> None:
    file = settings.data.parent / "providers.toml"
    row = f'name = "House"\nwire = "openai_chat"\nneeds_key = false\nbase_url = "{vendor.url}"\n'
    file.write_text(f"[house]\n{row}")
    with running_service(replace(settings, idle_exit_s=0.0, providers=file), hub.service) as service:
        wait_for(
            lambda: "house/m" in {m["id"] for m in call(service, "b", "GET", "/models").json()["items"]}, "the list"
        )
        [seen] = call(service, "b", "GET", "/providers").json()["items"]
        assert (seen["id"], seen["owner"], seen["mine"]) == ("house", "", False)
        for method, path in [("PATCH", ""), ("DELETE", ""), ("POST", "/keys")]:
            body = {"key": "sk-1"} if path else {"name": "x"}
            assert status(service, "a", method, f"/providers/house{path}", body) == 403
        # A key of one's own for the house's server.
        own = call(service, "r", "POST", "/providers", {"vendor": "house", "key": "sk-mine-1"}).json()
        assert own["id"] == "house-2"
        assert call(service, "r", "POST", "/providers/house-2/sync").json()["problem"] is None
    assert "sk-mine-1" in vendor.asked_with("/models")
