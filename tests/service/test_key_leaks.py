"""A key that was typed once, looked for in all that a workspace leaves behind: in no form does it lie anywhere.

The vendor here is as indiscreet as one can be: it repeats the key in every refusal, as it is, quoted and in base64.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
import psutil
import pytest
from nbclient import NotebookClient

from llmws.redaction import forms_of
from llmws.settings import Settings

from .harness import Api, Process, wait_for
from .vendor_server import VendorServer, vendor_server
from .workshop import Workshop, at_step, go, state, train

KEY = "sk-Planted+Key/2bFound.0123"
SPARE = "sk-Spare+Key/2bFound.4567"
MASTER = base64.b64encode(bytes(range(100, 132))).decode()
SECRETS = (KEY, SPARE, MASTER)

NOTEBOOK = """
import pathlib, llmws
client = llmws.connect()
added = client.providers.add("compatible", pathlib.Path(KEY_FILE).read_text(), base_url=URL, id="notebook")
print(added)
added
---
client.providers.list()
---
print(client.providers.test("notebook"), client.providers.models("notebook"))
---
%xmode Verbose
client.providers.add_key("notebook", pathlib.Path(KEY_FILE).read_text() + " and a blank")
---
client.chat("Hello", model="notebook/m")
---
client.providers
---
from llmws import ui
page = ui.Chat()
page
---
client.models(), client.usage()
"""


class Indiscreet(VendorServer):
    """Refuses everything, and says of whom; of what it grants it does not speak."""

    def answer(self, path: str, key: str, body: Any) -> tuple[int, dict[str, str], bytes]:
        self.asked.append((path.removeprefix("/v1"), key, body))
        if path == "/v1/models" and not self.refusals:
            return 200, {}, json.dumps({"data": [{"id": "m"}]}).encode()
        hidden = base64.b64encode(f"user:{key}".encode()).decode()
        said = f"Incorrect API key provided: {key}, {quote(key, safe='')}, Basic {hidden}, {key[:9]}…"
        error = {"error": {"message": said, "code": key, "type": key, "param": key}}
        headers = {"X-Request-Id": key, "WWW-Authenticate": f"Bearer {key}", "Set-Cookie": f"key={key}"}
        if body is not None and body.get("stream"):
            text = f'data: {{"choices": [{{"delta": {{"content": "Yes"}}}}]}}\n\ndata: {json.dumps(error)}\n\n'
            return 200, {"Content-Type": "text/event-stream", **headers}, text.encode()
        return 401, {"Content-Type": "application/json", **headers}, json.dumps(error).encode()


class Heard(Api):
    """Keeps what the service answers."""

    def __init__(self, api: Api) -> None:
        super().__init__(api.instance)
        self.answers: list[bytes] = []
        self.http.event_hooks = {"response": [self._hear]}

    def _hear(self, response: Any) -> None:
        self.answers += [response.read(), str(response.headers).encode()]


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    with vendor_server(Indiscreet) as server:
        yield server


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    workshop = Workshop.make(tmp_path, Settings(data=tmp_path / "data", idle_exit_s=0))
    yield workshop
    workshop.clear()


def traces(text: bytes) -> set[str]:
    """The forms of a secret that are in `text`; the first words of one are none."""
    return {form for secret in SECRETS for form in forms_of(secret) if form.encode() in text}


def files(folder: Path) -> Iterator[Path]:
    yield from (path for path in folder.rglob("*") if path.is_file() and path.name != "master.key")


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    for number, secret in enumerate(SECRETS):
        for form in (secret, quote(secret, safe=""), base64.b64encode(f"u:{secret}!".encode()).decode()):
            (tmp_path / f"{number}").write_text(f"before {form} after")
            assert traces((tmp_path / f"{number}").read_bytes()), form
    assert traces(b"sk-Plant") == set()


@pytest.mark.long
def test_a_key_is_found_nowhere(workshop: Workshop, vendor: VendorServer, tmp_path: Path) -> None:
    variables = {**workshop.variables, "LLMWS_LOG_LEVEL": "debug", "LLMWS_MASTER_KEY": MASTER}
    variables |= {"STAND_IN": json.dumps({"hold_at": 3})}
    process = Process(workshop.settings.data, **variables)
    (tmp_path / "elsewhere").mkdir()
    try:
        api = Heard(process.start())
        _configure(api, vendor)
        _ask(api, vendor)
        said = _train(api, workshop)
        shown = _run_notebook(api, vendor, tmp_path / "elsewhere")
        _look_at_everything(api)
        # While it runs: the write-ahead log, too.
        found = {str(path): traces(path.read_bytes()) for path in files(workshop.settings.data)}
        process.end()
    finally:
        process.kill()
    found |= {str(path): traces(path.read_bytes()) for path in files(workshop.settings.data)}
    found |= {f"answer {at}": traces(answer) for at, answer in enumerate(api.answers)}
    found |= {"log": traces(process.log.read_bytes()), "notebook": traces(shown), "processes": traces(said)}
    assert {where: forms for where, forms in found.items() if forms} == {}
    assert {key for _, key, _ in vendor.asked} == {KEY, SPARE}, "the vendor was never asked with both keys"
    assert len(api.answers) > 40
    log = process.log.read_text()
    assert "DEBUG" in log
    assert any(path.suffix == ".db" or ".db" in path.name for path in files(workshop.settings.data))


def _configure(api: Heard, vendor: VendorServer) -> None:
    body = {"vendor": "compatible", "base_url": vendor.url, "key": KEY}
    api.post("/api/providers/test", body)
    api.post("/api/providers/test", {**body, "vendor": "deepseek", "model": "m"})
    [key] = api.post("/api/providers", body)["keys"]
    api.post("/api/providers/compatible/keys", {"key": f"Bearer {SPARE}", "label": "spare"})
    api.http.patch(f"/api/providers/compatible/keys/{key['id']}", json={"weight": 2, "parked": False})
    # What cannot be is refused, and not repeated.
    for wrong in (
        {**body, "key": f"{KEY} {KEY}"},
        {**body, "key": [KEY]},
        {**body, "key": {KEY: KEY}},
        {**body, "base_url": f"http://user:{KEY}@127.0.0.1/v1"},
        {**body, "base_url": f"http://127.0.0.1/v1?key={KEY}"},
        {**body, "weight": KEY},
        {**body, "vendor": "nobody"},
    ):
        for path in ("/api/providers", "/api/providers/test"):
            assert api.http.post(path, json=wrong).status_code == 422
    assert api.http.post("/api/providers", content=json.dumps(body)[:-1]).status_code == 422
    api.post("/api/providers/compatible/sync")
    api.post("/api/master-keys/rotate")


def _ask(api: Heard, vendor: VendorServer) -> None:
    """Every way to call a model, each of which the vendor refuses with the key on its lips."""
    message = {"role": "user", "parts": [{"type": "text", "text": "Hello"}]}
    for refuses in (False, True):
        if refuses:
            vendor.refusals = {KEY: (401, ""), SPARE: (401, "")}
        generation = api.post("/api/generations", {"model": "compatible/m", "messages": [message]})
        wait_for(lambda done=generation: api.get(f"/api/generations/{done['id']}")["state"] == "ended", "the answer")
        api.kept(generation["id"])
        chat = api.new_chat(model="compatible/m")
        sent = api.post(f"/api/chats/{chat['id']}/messages", {"text": "Hello"})
        wait_for(lambda done=sent: api.get(f"/api/generations/{done['generation']['id']}")["state"] == "ended", "it")
        _download(api, chat["id"])
        comparison = api.post("/api/comparisons", {"models": ["compatible/m", "echo"], "prompt": "Hello"})
        wait_for(lambda done=comparison: _ended(api, done["id"]), "the comparison")
        for stream in (False, True):
            asked = {"model": "compatible/m", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
            api.http.post("/v1/chat/completions", json=asked)
            api.http.post("/v1/messages", json={**asked, "max_tokens": 5})
        api.http.post("/v1/responses", json={"model": "compatible/m", "input": "Hi"})
        api.http.post("/v1/embeddings", json={"model": "compatible/m", "input": "Hi"})
        api.http.post("/api/models/compatible/m/probe")
        api.post("/api/providers/compatible/test", {"model": "m"})
        api.post("/api/providers/compatible/sync")


def _ended(api: Heard, comparison_id: str) -> bool:
    items = api.get(f"/api/comparisons/{comparison_id}")["items"]
    return all(item["state"] != "running" for item in items)


def _download(api: Heard, chat_id: str) -> None:
    for form in ("markdown", "json"):
        path = api.post("/api/tickets", {"action": "download", "thing": f"chats/{chat_id}"})["path"]
        assert api.http.get(f"/door/{path}{'&' if '?' in path else '?'}format={form}").status_code == 200


def _train(api: Heard, workshop: Workshop) -> bytes:
    """A run, with runner, supervisor and trainer; what their command lines and environments say."""
    job = train(api)
    at_step(api, job, 2)
    service = psutil.Process(api.instance.pid)
    started = {*service.children(recursive=True), *workshop.processes()} - {service}
    commands = " ".join(part for process in started for part in process.cmdline())
    assert all(part in commands for part in ("runner", "supervise", "stand_in")), commands
    told = [*service.cmdline(), *(part for process in started for part in process.cmdline())]
    told += [f"{name}={value}" for process in started for name, value in process.environ().items()]
    go(job)
    state(api, job, "finished")
    return "\0".join(told).encode()


def _run_notebook(api: Heard, vendor: VendorServer, folder: Path) -> bytes:
    """A notebook that adds a provider, fails in every way and shows a page: its outputs, its widgets, its history."""
    vendor.refusals = {}
    (folder / "key").write_text(KEY)
    told = NOTEBOOK.replace("KEY_FILE", repr(str(folder / "key"))).replace("URL", repr(vendor.url))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in told.split("---")])
    environment = {**os.environ, "LLMWS_URL": api.instance.url, "LLMWS_TOKEN": api.instance.token}
    environment |= {"IPYTHONDIR": str(folder / "ipython"), "HOME": str(folder)}
    client = NotebookClient(notebook, timeout=60, allow_errors=True, resources={"metadata": {"path": str(folder)}})
    client.execute(env=environment)
    text = nbformat.writes(notebook)
    assert "Provider('notebook'" in text
    assert "application/vnd.jupyter.widget-state+json" in text
    assert "There is a blank or a line break within the key" in text
    (folder / "key").unlink()
    return text.encode() + b"".join(path.read_bytes() for path in files(folder))


def _look_at_everything(api: Heard) -> None:
    for path in (
        "/openapi.json",
        "/docs",
        "/healthz",
        "/api/status",
        "/api/me",
        "/api/models",
        "/api/vendors",
        "/api/providers?everyone=1",
        "/api/providers/compatible",
        "/api/providers/compatible/models",
        "/api/providers/compatible/grants",
        "/api/master-keys",
        "/api/chats",
        "/api/comparisons",
        "/api/jobs",
        "/api/usage",
        "/api/usage/calls",
        "/api/prices",
        "/api/limits",
        "/v1/models",
        "/nowhere",
    ):
        api.http.get(path)
