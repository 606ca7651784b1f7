"""Providers as a person configures them: what is typed, what is told, and that a change holds at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from llmws.service import sources
from llmws.service.secrets import FILE
from llmws.settings import Settings

from .harness import Running, running_service, wait_for
from .test_edge import error
from .vendor_server import VendorServer, vendor_server

ASKED = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    with vendor_server() as server:
        yield server


def add(service: Running, vendor: VendorServer, of: str = "compatible", **more: Any) -> dict[str, Any]:
    body = {"vendor": of, "base_url": vendor.url, "key": "sk-good-1", **more}
    added: dict[str, Any] = service.post("/api/providers", body)
    return added


def change(service: Running, path: str, **changes: Any) -> dict[str, Any]:
    response = service.http.patch(f"/api/providers/{path}", json=changes)
    assert response.status_code == 200, response.text
    changed: dict[str, Any] = response.json()
    return changed


def models(service: Running) -> dict[str, dict[str, Any]]:
    listed = {model["id"]: model for model in service.get("/api/models")["items"]}
    return {name: model for name, model in listed.items() if name != "echo"}


def ask(service: Running, model: str) -> Any:
    return service.http.post("/v1/chat/completions", json={"model": model, **ASKED})


def test_a_provider_is_added_listed_and_asked_without_a_restart(service: Running, vendor: VendorServer) -> None:
    added = add(service, vendor, name="Our server")
    assert (added["id"], added["name"], added["mine"], added["enabled"]) == ("compatible", "Our server", True, True)
    assert (added["base_url"], added["warnings"]) == (vendor.url, [])
    [key] = added["keys"]
    assert (key["label"], key["weight"], key["parked_reason"], key["last_used_at"]) == ("key 1", 1, None, None)
    wait_for(lambda: len(models(service)) == 3, "the list")
    assert models(service)["compatible/m"]["context"] == 4096
    answer = ask(service, "compatible/m")
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "Yes."
    assert vendor.asked_with() == ["sk-good-1"]
    told = service.get("/api/providers")["items"]
    assert [(one["id"], one["model_count"], one["problem"]) for one in told] == [("compatible", 3, None)]
    assert told[0] == service.get("/api/providers/compatible")
    assert service.http.delete("/api/providers/compatible").status_code == 204
    assert models(service) == {}
    assert ask(service, "compatible/m").status_code == 404
    error(service.http.get("/api/providers/compatible"), 404)


def test_vendors_are_those_of_the_catalogue(service: Running) -> None:
    vendors = {row["id"]: row for row in service.get("/api/vendors")["items"]}
    assert {"openai", "anthropic", "deepseek", "compatible"} <= vendors.keys()
    assert not {"echo", "embedded"} & vendors.keys()
    assert set(vendors["deepseek"]) == {"id", "name", "wire", "base_url", "needs_key", "key_hint", "docs"}


def test_a_repeated_post_adds_one_provider_with_one_key(service: Running, vendor: VendorServer) -> None:
    body = {"vendor": "compatible", "base_url": vendor.url, "key": "sk-good-1"}
    first, second = (service.post("/api/providers", body, key="once") for _ in range(2))
    assert (first["id"], [key["id"] for key in first["keys"]]) == (second["id"], [key["id"] for key in second["keys"]])
    assert len(service.get("/api/providers")["items"]) == 1
    other = service.http.post("/api/providers", json={"vendor": "deepseek"}, headers={"Idempotency-Key": "once"})
    assert "Idempotency-Key" in error(other, 409)["message"]
    keys = [service.post("/api/providers/compatible/keys", {"key": "sk-2"}, key="again")["id"] for _ in range(2)]
    assert keys[0] == keys[1]
    assert len(service.get("/api/providers/compatible")["keys"]) == 2


def test_ids_are_given_once(service: Running, vendor: VendorServer) -> None:
    assert [add(service, vendor)["id"] for _ in range(2)] == ["compatible", "compatible-2"]
    assert add(service, vendor, id="mine")["id"] == "mine"
    body = {"vendor": "compatible", "base_url": vendor.url}
    error(service.http.post("/api/providers", json={**body, "id": "mine"}), 409)
    error(service.http.post("/api/providers", json={**body, "id": "echo"}), 409)
    for wrong in ("A", "a/b", "", "a" * 65, "-"):
        error(service.http.post("/api/providers", json={**body, "id": wrong}), 422)


def test_only_what_is_offered_can_be_asked(service: Running, vendor: VendorServer) -> None:
    add(service, vendor, only=["m*"])
    wait_for(lambda: set(models(service)) == {"compatible/m", "compatible/m-large"}, "the list")
    assert ask(service, "compatible/text-embedding-m").status_code == 404
    assert change(service, "compatible", only=["m"])["model_count"] == 1
    assert ask(service, "compatible/m-large").status_code == 404
    listed = service.get("/api/providers/compatible/models")["items"]
    assert {row["id"]: row["offered"] for row in listed} == {
        "compatible/m": True,
        "compatible/m-large": False,
        "compatible/text-embedding-m": False,
    }
    change(service, "compatible", only=[])
    assert len(models(service)) == 3


def test_a_provider_that_is_switched_off_is_not_asked(service: Running, vendor: VendorServer) -> None:
    add(service, vendor)
    wait_for(lambda: models(service), "the list")
    assert change(service, "compatible", enabled=False)["enabled"] is False
    assert models(service) == {}
    assert ask(service, "compatible/m").status_code == 404
    assert vendor.asked_with() == []
    change(service, "compatible", enabled=True, name="Again")
    assert ask(service, "compatible/m").status_code == 200


def test_another_key_or_address_is_used_at_once(service: Running, vendor: VendorServer) -> None:
    add(service, vendor)
    with vendor_server() as second:
        second.models = ["n"]
        [key] = service.get("/api/providers/compatible")["keys"]
        assert service.http.delete(f"/api/providers/compatible/keys/{key['id']}").status_code == 204
        change(service, "compatible", base_url=second.url)
        wait_for(lambda: set(models(service)) == {"compatible/n"}, "the new list")
        service.post("/api/providers/compatible/keys", {"key": "sk-good-2", "label": "new", "weight": 5})
        assert ask(service, "compatible/n").status_code == 200
        assert second.asked_with() == ["sk-good-2"]


def test_a_key_goes_to_no_other_host_than_it_was_given_for(service: Running, vendor: VendorServer) -> None:
    """Else any code of a notebook could have it sent to itself."""
    add(service, vendor)
    with vendor_server() as second:
        for address in (
            second.url,
            vendor.url.replace("http://", "https://"),
            second.url.replace("127.0.0.1", "localhost"),
        ):
            told = error(service.http.patch("/api/providers/compatible", json={"base_url": address}), 409)
            assert "go nowhere else" in told["message"]
        service.post("/api/providers/compatible/sync")
        assert second.asked == []
    change(service, "compatible", base_url=f"{vendor.url}/other")


def test_a_key_can_be_labelled_and_taken_up_again(service: Running, vendor: VendorServer) -> None:
    [key] = add(service, vendor)["keys"]
    path = f"compatible/keys/{key['id']}"
    changed = change(service, path, label="team", weight=3, parked=False)
    assert (changed["label"], changed["weight"], changed["parked_reason"]) == ("team", 3, None)
    refused = service.http.patch(f"/api/providers/{path}", json={"parked": True})
    assert "refuses" in error(refused, 422)["message"]
    error(service.http.patch(f"/api/providers/{path}", json={"weight": 0}), 422)
    error(service.http.patch("/api/providers/compatible/keys/0", json={"weight": 1}), 404)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("file:///etc/passwd", "not the address of a model server"),
        ("ftp://example.org/v1", "not the address of a model server"),
        ("example.org/v1", "not the address of a model server"),
        ("http://", "not the address of a model server"),
        ("http://me:secret@example.org/v1", "a name or a password"),
        ("https://example.org/v1?api-key=1", "`?`"),
        ("http://169.254.169.254/latest", "169.254.169.254 may not be asked"),
        ("http://[fe80::1]/v1", "fe80::1 may not be asked"),
        ("http://0xa9fea9fe/v1", "may not be asked"),
        ("http://0.0.0.0:8080/v1", "0.0.0.0 may not be asked"),
        ("http://169。254。169。254/v1", "169.254.169.254 may not be asked"),
        ("http://[fe80::1%eth0]/v1", "may not be asked"),
        ("https://xn--/v1", "not the address of a model server"),
        (f"https://{'h' * 3000}.example/v1", "at most 2048"),
    ],
)
def test_an_address_that_cannot_be_is_refused_when_it_is_typed(service: Running, address: str, said: str) -> None:
    for path in ("/api/providers", "/api/providers/test"):
        told = error(service.http.post(path, json={"vendor": "compatible", "base_url": address, "key": "sk-1"}), 422)
        assert said in told["message"]
        assert told["remedy"]
        assert "secret" not in str(told)
    assert service.get("/api/providers")["items"] == []


def test_what_else_cannot_be_is_refused(service: Running, vendor: VendorServer) -> None:
    for body, said in [
        ({"vendor": "nobody"}, "no vendor 'nobody'"),
        ({"vendor": "echo"}, "no vendor 'echo'"),
        ({"vendor": "compatible"}, "no address of its own"),
        ({"vendor": "deepseek", "fallbacks": ["nowhere/m"]}, "'nowhere/m'"),
        ({"vendor": "deepseek", "key": "sk-one two"}, "a blank or a line break"),
        ({"vendor": "deepseek", "api_key": "sk-1"}, "api_key"),
    ]:
        told = error(service.http.post("/api/providers", json=body), 422)
        assert said in told["message"]
        assert "sk-one" not in str(told)


def test_a_key_of_another_vendor_is_noticed(service: Running) -> None:
    added = service.post("/api/providers", {"vendor": "openai", "key": "sk-ant-123456", "enabled": False})
    assert added["warnings"] == ["This looks like a key of Anthropic, not of OpenAI."]
    key = service.post("/api/providers/openai/keys", {"key": "sk-ant-7654321"})
    assert len(key["warnings"]) == 1
    clear = service.post(
        "/api/providers",
        {"vendor": "compatible", "base_url": "http://llm.example/v1", "key": "sk-1234567", "enabled": False},
    )
    assert "unencrypted" in clear["warnings"][0]


def test_what_a_person_knows_better_goes_before_what_the_provider_says(service: Running, vendor: VendorServer) -> None:
    add(service, vendor)
    wait_for(lambda: models(service), "the list")
    path = "/api/providers/compatible/models/m/capabilities"

    def put(name: str, value: Any) -> int:
        return service.http.put(f"{path}/{name}", json={"value": value}).status_code

    assert [put("context", 8192), put("vision", True)] == [200, 200]
    assert [put("context", True), put("vision", 3), put("context", 0), put("colour", True)] == [422] * 4
    assert (models(service)["compatible/m"]["context"], models(service)["compatible/m"]["vision"]) == (8192, True)
    first = service.get("/api/providers/compatible/models")["items"][0]
    assert [(one["name"], one["value"], one["source"]) for one in first["capabilities"]] == [
        ("context", 8192, "person"),
        ("vision", True, "person"),
    ]
    assert service.http.delete(f"{path}/context").status_code == 204
    assert models(service)["compatible/m"]["context"] == 4096


# Lists


def test_of_a_list_only_what_can_be_used_is_taken(
    service: Running, vendor: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MOST_MODELS", 7)
    vendor.models = ["m", "m", "", "a\x00b", "half \ud800", "turned \u202e", "x" * 300, "<b>/x y", "one too many"]
    add(service, vendor)
    service.post("/api/providers/compatible/sync")
    assert set(models(service)) == {"compatible/m", "compatible/<b>/x y"}
    assert service.get("/api/providers/compatible")["model_count"] == 2


def test_a_dead_provider_delays_no_other_and_says_why(service: Running, vendor: VendorServer) -> None:
    with vendor_server() as dead:
        dead.listing.clear()
        add(service, dead, id="dead")
        add(service, vendor, id="alive")
        wait_for(lambda: "alive/m" in models(service), "the list of the one that lives")
        dead.listing.set()
        wait_for(lambda: "dead/m" in models(service), "the list of the other")
    gone = service.post("/api/providers/dead/sync")
    assert gone["problem"]["code"] == "provider_network"
    assert gone["problem"]["remedy"]
    assert gone["model_count"] == 3
    assert models(service)["dead/m"]["state"] == "unavailable"
    assert models(service)["alive/m"]["state"] == "ready"


def test_the_last_good_list_survives_a_restart_with_its_age(settings: Settings, vendor: VendorServer) -> None:
    with running_service(settings) as service:
        add(service, vendor)
        listed_at = service.post("/api/providers/compatible/sync")["listed_at"]
        assert listed_at is not None
        vendor.listing.clear()
    with running_service(settings) as service:
        told = service.get("/api/providers/compatible")
        assert (told["model_count"], told["listed_at"]) == (3, listed_at)
        assert models(service)["compatible/m"]["checked_at"] == listed_at
        vendor.listing.set()
        assert service.post("/api/providers/compatible/sync")["listed_at"] > listed_at


def test_a_provider_of_the_same_name_begins_without_the_list_of_the_last(
    service: Running, vendor: VendorServer
) -> None:
    add(service, vendor)
    wait_for(lambda: models(service), "the list")
    service.http.delete("/api/providers/compatible")
    vendor.listing.clear()
    assert add(service, vendor)["listed_at"] is None
    vendor.listing.set()


def test_a_list_that_comes_too_late_is_a_problem_and_no_more(
    service: Running, vendor: VendorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LIMIT_S", 0.05)
    vendor.listing.clear()
    add(service, vendor)
    told = wait_for(lambda: service.get("/api/providers/compatible")["problem"], "the time to be over")
    assert told["code"] == "provider_timeout"
    assert ask(service, "compatible/m").status_code == 200


# Keys that cannot be read


def test_a_lost_master_key_is_said_and_loses_nothing(settings: Settings, vendor: VendorServer) -> None:
    with running_service(settings) as service:
        add(service, vendor)
    file = settings.data / FILE
    file.rename(settings.data / "aside")
    with running_service(settings) as service:
        told = error(ask(service, "compatible/m"), 503)
        assert "master key" in told["message"]
        assert "llmws keys rotate" in told["message"]
        assert service.get("/api/providers/compatible")["problem"]["code"] == "master_key"
        refused = service.http.post("/api/providers/compatible/keys", json={"key": "sk-good-2"})
        assert error(refused, 503)["code"] == "master_key"
        assert not file.exists()
    (settings.data / "aside").rename(file)
    with running_service(settings) as service:
        assert ask(service, "compatible/m").status_code == 200
        assert vendor.asked_with() == ["sk-good-1"]
        service.post("/api/master-keys/rotate")
        assert ask(service, "compatible/m").status_code == 200
        service.post("/api/providers/compatible/keys", {"key": "sk-good-2"})
    with running_service(replace(settings)) as service:
        assert ask(service, "compatible/m").status_code == 200


# Several keys, and others that step in


def parked(service: Running, id: str = "compatible") -> dict[str, str | None]:
    return {key["label"]: key["parked_reason"] for key in service.get(f"/api/providers/{id}")["keys"]}


def test_a_refused_key_is_parked_and_another_answers_also_after_a_restart(
    settings: Settings, vendor: VendorServer
) -> None:
    with running_service(settings) as service:
        add(service, vendor)
        service.post("/api/providers/compatible/keys", {"key": "sk-bad-1", "label": "bad", "weight": 1000})
        service.post("/api/providers/compatible/sync")
        vendor.refusals["sk-bad-1"] = 401, "Invalid API key"
        wait_for(
            lambda: ask(service, "compatible/m").status_code == 200 and "sk-bad-1" in vendor.asked_with(), "both keys"
        )
        wait_for(lambda: parked(service) == {"key 1": None, "bad": "provider_auth"}, "the key to be parked")
        times = {key["label"]: key["last_used_at"] for key in service.get("/api/providers/compatible")["keys"]}
        assert all(times.values())
    vendor.asked.clear()
    with running_service(settings) as service:
        assert parked(service)["bad"] == "provider_auth"
        kept = {key["label"]: key["last_used_at"] for key in service.get("/api/providers/compatible")["keys"]}
        assert kept == times
        for _ in range(5):
            assert ask(service, "compatible/m").status_code == 200
        assert set(vendor.asked_with()) == {"sk-good-1"}
        vendor.refusals.clear()
        bad = next(key["id"] for key in service.get("/api/providers/compatible")["keys"] if key["label"] == "bad")
        change(service, f"compatible/keys/{bad}", parked=False)
        wait_for(
            lambda: ask(service, "compatible/m").status_code == 200 and "sk-bad-1" in vendor.asked_with(), "its return"
        )


def test_an_empty_account_is_asked_again_in_an_hour(service: Running, vendor: VendorServer) -> None:
    vendor.open_list = True
    vendor.refusals["sk-good-1"] = 402, "Insufficient balance"
    add(service, vendor)
    assert error(ask(service, "compatible/m"), 502)["code"] == "provider_balance"
    [key] = wait_for(
        lambda: [key for key in service.get("/api/providers/compatible")["keys"] if key["parked_reason"]], "the park"
    )
    assert key["parked_reason"] == "provider_balance"
    assert key["parked_until"] > key["created_at"] + 3000


def test_another_model_steps_in_and_the_answer_says_so(service: Running, vendor: VendorServer) -> None:
    with vendor_server() as broken:
        broken.refusals["sk-good-1"] = 503, "Overloaded"
        add(service, vendor, id="spare")
        add(service, broken, id="first", fallbacks=["spare/m", "echo"])
        generation = service.post(
            "/api/generations",
            {"model": "first/m", "messages": [{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}]},
        )
        message = service.message(generation["id"])
    assert message.text == "Yes."
    [warning] = [part for part in message.parts if part.type == "warning"]
    assert warning.data["code"] == "fallback"
    assert "spare/m answers instead of first/m" in warning.text
    change(service, "spare", enabled=False)
    assert ask(service, "first/m").json()["choices"][0]["message"]["content"] == "Hello"


def test_what_the_provider_does_not_tell_the_catalogue_may_know(service: Running, vendor: VendorServer) -> None:
    vendor.models = ["claude-sonnet-4-5", "my-own"]
    add(service, vendor, of="openrouter", id="lab")
    service.post("/api/providers/lab/sync")
    add(service, vendor, of="deepseek")
    vendor.models = ["deepseek-reasoner"]
    service.post("/api/providers/deepseek/sync")
    [model] = service.get("/api/providers/deepseek/models")["items"]
    said = {one["name"]: (one["value"], one["source"], one["checked_at"]) for one in model["capabilities"]}
    assert said["reasoning"][:2] == (True, "catalogue")
    assert said["reasoning"][2] < model["capabilities"][0]["checked_at"]
    assert said["context"][:2] == (4096, "provider")
    assert models(service)["deepseek/deepseek-reasoner"]["reasoning"] is True
    assert models(service)["lab/my-own"]["reasoning"] is None
