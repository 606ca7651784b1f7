"""What somebody trains, compares and has answered: nobody else watches it, asks it, shares it, stops it or saves it."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..running import wait_for
from .scene import Attempts, Scene

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]
OTHERS = ("bob", "rolf", "ann", "ann/admin")
HELLO = [{"role": "user", "content": "Hello"}]


def spellings(id: str) -> tuple[str, ...]:
    """A name as it is, and as it might be taken for the same."""
    return (id, id.upper(), f" {id}", f"{id} ", f"{id}/", f"./{id}", f"rita/{id}", f"smollm2-135m/../{id}", f"{id}%00")


@pytest.mark.parametrize("whose", OTHERS)
def test_a_tuned_model_answers_its_owner_only(scene: Scene, attempts: Attempts, whose: str) -> None:
    with scene.service(scene.tokens[whose]) as api:
        own = api.post("/api/chats", json={"model": "echo"}).raise_for_status().json()["id"]
        for model in spellings(scene.things["model"]):
            asked: list[tuple[str, str, dict[str, Any]]] = [
                ("POST", "/v1/chat/completions", {"model": model, "messages": HELLO, "max_tokens": 1}),
                ("POST", "/v1/chat/completions", {"model": model, "messages": HELLO, "max_tokens": 1, "stream": True}),
                ("POST", "/api/generations", {"model": model, "messages": _messages()}),
                ("POST", f"/api/chats/{own}/messages", {"text": "Hello", "model": model}),
            ]
            for method, path, body in asked:
                answer = api.request(method, path, json=body)
                attempts.add(f"{whose}: {method} {path} {model!r}", answer.is_success and answer.text)
            attempts.add(f"{whose}: compares {model!r}", _answer_in_comparison(api, model))
            # To choose it is harmless; to be answered would not be.
            if api.patch(f"/api/chats/{own}", json={"model": model}).is_success:
                said = api.post(f"/api/chats/{own}/messages", json={"text": "Hello"})
                attempts.add(f"{whose}: a chat with {model!r}", said.is_success and said.text)
            for grantee in (f"person/{whose.partition('/')[0]}", "group/researchers", "group/business"):
                answer = api.put(f"/api/models/{model}/grants/{grantee}")
                attempts.add(f"{whose}: shares {model!r} with {grantee}", answer.is_success and answer.text)
        for path in ("/api/models", "/v1/models", "/api/bases"):
            attempts.add(f"{whose}: {path} lists it", scene.things["model"] in api.get(path).text)


def _answer_in_comparison(api: httpx.Client, model: str) -> str:
    """What `model` says beside another one; in a comparison each fails alone."""
    asked = api.post("/api/comparisons", json={"prompt": "Hello", "models": ["echo", model]})
    if not asked.is_success:
        return ""
    path = f"/api/comparisons/{asked.json()['id']}"
    wait_for(lambda: not api.get(path).json()["running"])
    (item,) = (item for item in api.get(path).json()["items"] if item["model"] == model)
    return "" if item["message"] is None or item["message"].get("error") else str(item)


@pytest.mark.parametrize("whose", OTHERS)
def test_a_job_a_comparison_and_an_answer_are_their_owner_s(scene: Scene, attempts: Attempts, whose: str) -> None:
    with scene.service(scene.tokens[whose]) as api:
        for noun, thing in (("jobs", "job"), ("jobs", "running job"), ("comparisons", "comparison")):
            root = f"/api/{noun}/{scene.things[thing]}"
            for method, rest in itertools.product(("GET", "POST", "DELETE"), _BELOW):
                for after in ("", "0", "999999999"):
                    headers = {"Last-Event-ID": after} if after else {}
                    answer = _begin(api, method, root + rest, headers)
                    attempts.add(f"{whose}: {method} {noun}/{thing}{rest} after {after}", answer)
        for path in ("/api/jobs", "/api/comparisons", "/api/chats", "/api/jobs?limit=200", "/api/chats?q=only-rita"):
            attempts.add(f"{whose}: {path} tells of it", scene.shows_secrets(api.get(path).content, ["rita"]))


_BELOW = ("", "/points", "/log", "/events", "/stop", "/resume", "/serve", "/restore", "/cancel", "/download")


def _begin(api: httpx.Client, method: str, path: str, headers: dict[str, str]) -> str:
    with api.stream(method, path, headers=headers) as response:
        return f"{response.status_code}" if response.is_success else ""


@pytest.mark.parametrize("whose", OTHERS)
def test_there_is_no_ticket_for_what_is_another_s(scene: Scene, attempts: Attempts, whose: str) -> None:
    nouns = ("chats", "jobs", "runs", "models", "adapters", "comparisons", "generations", "messages", "datasets")
    with scene.service(scene.tokens[whose]) as api:
        for noun, (thing, known), action in itertools.product(
            nouns, scene.things.items(), ("download", "read", "upload")
        ):
            for wanted in (f"{noun}/{known}", f"{noun}/{known}/log", f"../{noun}/{known}"):
                made = api.post("/api/tickets", json={"action": action, "thing": wanted})
                attempts.add(f"{whose}: a ticket to {action} {noun}/{thing}", made.is_success and made.text)
        # And hers opens nothing but what it was made for, whoever shows it.
        hers = scene.ticket()
        for noun, known in itertools.product(nouns, scene.things.values()):
            if (noun, known) == ("chats", scene.things["chat"]):
                continue
            for rest in ("download", "log", "events"):
                answer = api.get(f"/door/{noun}/{known}/{rest}", params={"ticket": hers})
                attempts.add(f"{whose}: {noun}/{known}/{rest} by a chat's ticket", answer.is_success)


def test_a_key_that_was_hers_gives_nobody_else_her_job(scene: Scene, attempts: Attempts) -> None:
    """The id of what is made comes from a key and its owner: the same key of another is another thing."""
    wanted = {"base": "smollm2-135m", "dataset": "seafarer", "recipe": {"max_steps": 1}}
    key = {"Idempotency-Key": "the-same-for-both"}
    made = {}
    for whose in ("rita", "rolf"):
        with scene.service(scene.tokens[whose]) as api:
            made[whose] = api.post("/api/jobs", json=wanted, headers=key).raise_for_status().json()["id"]
    attempts.add("rolf's job is rita's", made["rita"] == made["rolf"] and made["rita"])


def test_nobody_s_kernel_reads_the_folder_of_a_run(scene: Scene, attempts: Attempts) -> None:
    runs = scene.hub.state.runs
    folder = runs / scene.things["job"]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"recipe.yaml", "trainer_log.jsonl"} <= {path.name for path in files}
    for path in (runs, folder, *files):
        told = scene.kernels["rolf"].run(_READ.format(path=str(path)))
        attempts.add(f"rolf's kernel opens {path.relative_to(runs)}", "opened" in told and told)


_READ = """
import os
for look in (os.listdir, lambda path: open(path).read(1)):
    try:
        look({path!r})
        print("opened")
    except OSError as problem:
        print(type(problem).__name__)
"""


def _messages() -> list[dict[str, Any]]:
    return [{"role": "user", "parts": [{"type": "text", "text": "Hello"}]}]


def test_all_of_it_is_as_it_was(scene: Scene) -> None:
    """After all of this module."""
    with scene.service(scene.tokens["rita"]) as api:
        assert api.get(f"/api/jobs/{scene.things['running job']}").json()["state"] == "running"
        assert api.get(f"/api/jobs/{scene.things['job']}").json()["model"] == scene.things["model"]
        assert api.get(f"/api/models/{scene.things['model']}/grants").json()["items"] == []
        assert api.get(f"/api/comparisons/{scene.things['comparison']}").is_success
        asked = {"model": scene.things["model"], "messages": HELLO, "max_tokens": 1}
        assert api.post("/v1/chat/completions", json=asked).is_success
    assert Path(scene.hub.state.runs / scene.things["job"]).is_dir()
