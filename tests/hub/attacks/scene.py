"""What an attack on a hub meets: people at work, each with something that nobody else may see or use."""

from __future__ import annotations

import http.client
import os
import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from ..running import Kernel, Person, RunningHub, command_of, wait_for

SERVICE = "/services/llmws"
_LARGEST = 300_000


@dataclass
class Attempts:
    """Counts what was tried, and keeps what should not have worked."""

    tried: int = 0
    succeeded: list[str] = field(default_factory=list)

    def add(self, what: str, success: object) -> None:
        self.tried += 1
        if success:
            self.succeeded.append(f"{what}: {success}"[:400])


@dataclass(frozen=True)
class Answer:
    """What came back on a raw request; a stream's begin only."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")


class Wire:
    """Requests whose target nobody tidies up, over one connection to a loopback port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def ask(self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        for attempt in (1, 2):
            try:
                return self._ask(method, target, headers or {}, body)
            except (http.client.HTTPException, OSError):
                # The server closed the connection that it had kept, or refused to speak of this at all.
                self._connection.close()
                if attempt == 2:
                    return Answer(0, http.client.HTTPMessage(), b"")
        raise AssertionError

    def _ask(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        self._connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            self._connection.putheader(name, value)
        if body:
            self._connection.putheader("Content-Length", str(len(body)))
        self._connection.endheaders(body or None)
        response = self._connection.getresponse()
        try:
            answer = Answer(response.status, response.headers, _begin(response))
        finally:
            if not response.isclosed():
                self._connection.close()
        return answer


def _begin(response: http.client.HTTPResponse) -> bytes:
    """What was said until it was enough, or nothing more came for a moment."""
    if "event-stream" not in response.headers.get("Content-Type", ""):
        return response.read(_LARGEST)
    said = b""
    try:
        while len(said) < _LARGEST and (piece := response.read1(65536)):
            said += piece
            # What a stream has to tell at once comes at once; a line that says nothing is its end for us.
            if b"\n\n" in said:
                break
    except TimeoutError:
        pass
    return said


@dataclass
class Scene:
    """Rita, a researcher, Bob, a business user, and Ann, who administers, are at work; Rolf is, too, and curious."""

    hub: RunningHub
    people: dict[str, Person]
    marks: dict[str, str]
    tokens: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    pids: dict[str, int] = field(default_factory=dict)
    kernels: dict[str, Kernel] = field(default_factory=dict)
    things: dict[str, str] = field(default_factory=dict)
    link: str = ""

    @property
    def secrets(self) -> list[str]:
        """What nobody but its owner should ever be shown."""
        kept = [self.hub.state.secret(name) for name in ("runner_token", "crypt_key")]
        return [*kept, *self.tokens.values()]

    def shows_secrets(self, told: bytes | str, of: Iterable[str]) -> list[str]:
        """Whose secrets `told` has, of those people who are named."""
        text = told.decode("utf-8", "replace") if isinstance(told, bytes) else told
        return [name for name in of if self.marks[name] in text or self.tokens[name] in text]

    def cookies(self, name: str, path: str) -> dict[str, str]:
        """What the browser of a person sends along to `path`."""
        return {"Cookie": self.people[name].cookie_header(path)}

    def mint(self, name: str, **body: Any) -> str:
        """A token of a person's own making, as the hub's token page makes one."""
        made = self.people[name].ask("POST", f"/hub/api/users/{name}/tokens", json=body)
        return str(made.raise_for_status().json()["token"])

    def ticket(self) -> str:
        """One for Rita to download her chat, made now: it is good for ten minutes, and the tests last longer."""
        with self.service(self.tokens["rita"]) as api:
            made = api.post("/api/tickets", json={"action": "download", "thing": f"chats/{self.things['chat']}"})
        return str(made.raise_for_status().json()["ticket"])

    def service(self, token: str) -> httpx.Client:
        """The service, as a program with this token asks it."""
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"{self.hub.url}{SERVICE}", headers=headers, timeout=30, trust_env=False)


def build(hub: RunningHub) -> Scene:
    """Have everybody sign in and begin to work."""
    marks = {name: f"only-{name}-knows-{uuid.uuid4().hex}" for name in ("rita", "rolf", "bob", "ann", "ann/admin")}
    _plant_in_the_home_of_bob(hub)
    people = {name: Person(hub, name) for name in ("rita", "rolf", "bob", "ann", "nils")}
    scene = Scene(hub, people, marks)
    for whose in marks:
        name, _, server = whose.partition("/")
        page = people[name].open_server(server)
        assert page.is_success, page.text
        _find_server(scene, whose)
        home = hub.state.home(name, bool(server))
        _write(home / "private" / "mark.txt", marks[whose], home.stat().st_uid)
    for name in ("rita", "rolf"):
        scene.kernels[name] = people[name].start_kernel()
        scene.kernels[name].run(f"mine = {marks[name]!r}")
    scene.kernels["ann/admin"] = people["ann"].start_kernel("admin")
    scene.kernels["bob"] = people["bob"].open_dashboard()
    _talk(scene)
    _provide(scene)
    _tune(scene)
    return scene


def _plant_in_the_home_of_bob(hub: RunningHub) -> None:
    """Leave what would run, or be shown, where his server read it; as somebody might who took over a kernel of his."""
    home, uid = hub.state.home("bob"), hub.uid("bob")
    home.parent.mkdir(exist_ok=True)
    home.mkdir(mode=0o700, exist_ok=True)
    os.chown(home, uid, uid)
    ran = f"open({str(home)!r} + '/ran-' + {{0!r}}, 'w')"
    code = {
        ".ipython/profile_default/startup/00-planted.py": ran.format("startup"),
        ".ipython/profile_default/ipython_config.py": ran.format("ipython_config"),
        ".jupyter/jupyter_config.py": ran.format("jupyter_config"),
        ".jupyter/voila.py": ran.format("voila"),
        ".jupyter/llmws-dashboards_config.py": ran.format("llmws-dashboards"),
        "jupyter_config.py": ran.format("working_folder"),
        "voila.json": '{"VoilaConfiguration": {"strip_sources": false}}',
        ".jupyter/voila.json": '{"VoilaConfiguration": {"strip_sources": false}}',
        ".local/share/jupyter/voila/templates/planted/index.html.j2": "template-of-bob",
        ".local/share/jupyter/voila/templates/planted/static/x.txt": "template-of-bob",
        ".local/share/jupyter/nbconvert/templates/planted/index.html.j2": "template-of-bob",
        ".local/share/jupyter/kernels/python3/kernel.json": (
            '{"argv": ["sh", "-c", "touch ~/ran-kernelspec"], "display_name": "x", "language": "python"}'
        ),
        "sitecustomize.py": ran.format("sitecustomize_here"),
        "llmws.py": ran.format("llmws_here"),
        "voila.py": ran.format("voila_here"),
        ".bashrc": "touch ~/ran-bashrc",
    }
    version = re.match(r"\d+\.\d+", os.sys.version)[0]
    packages = f".local/lib/python{version}/site-packages"
    code[f"{packages}/usercustomize.py"] = ran.format("usercustomize")
    code[f"{packages}/sitecustomize.py"] = ran.format("sitecustomize")
    code[f"{packages}/planted.pth"] = f"import os; {ran.format('pth')}"
    for path, text in code.items():
        _write(home / path, text, uid)


def _write(file: Path, text: str, uid: int) -> None:
    missing = [folder for folder in (file, *file.parents) if not folder.exists()]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    for made in missing:
        os.chown(made, uid, uid)


def _find_server(scene: Scene, whose: str) -> None:
    """The token, port and process of a person's server, which root can see."""
    name, _, server = whose.partition("/")
    uid = scene.hub.state.home(name, bool(server)).stat().st_uid
    for process in scene.hub.processes(uid):
        if "-s" in command_of(process):
            told = process.environ()
            scene.tokens[whose] = told["JUPYTERHUB_API_TOKEN"]
            scene.ports[whose] = int(urlsplit(told["JUPYTERHUB_SERVICE_URL"]).port or 0)
            scene.pids[whose] = process.pid
            return
    raise AssertionError(f"{whose} has no server")


def _talk(scene: Scene) -> None:
    """Have Rita and Ann chat, and Rita compare, so that there is something to find."""
    for name in ("rita", "ann"):
        with scene.service(scene.tokens[name]) as api:
            chat = api.post("/api/chats", json={"model": "echo"}).raise_for_status().json()["id"]
            said = api.post(f"/api/chats/{chat}/messages", json={"text": scene.marks[name]}).raise_for_status().json()
            generation = said["generation"]["id"]
            _wait_for_answer(api, generation)
            if name == "rita":
                scene.things |= {"chat": chat, "message": said["message"]["id"], "generation": generation}
                asked = {"prompt": scene.marks[name], "models": ["echo", "echo"]}
                compared = api.post("/api/comparisons", json=asked).raise_for_status().json()
                scene.things["comparison"] = compared["id"]
                _share(scene, api, chat)


def _share(scene: Scene, api: httpx.Client, chat: str) -> None:
    """Have Rita make a link that she revokes, and an assistant of her own."""
    link = api.post(f"/api/chats/{chat}/links", json={}).raise_for_status().json()
    api.delete(f"/api/chats/{chat}/links/{link['id']}").raise_for_status()
    scene.link = link["path"]
    assistant = {"name": scene.marks["rita"], "model": "echo", "system": scene.marks["rita"]}
    made = api.post("/api/assistants", json=assistant).raise_for_status().json()
    scene.things |= {"link": link["id"], "assistant": made["id"]}


def _provide(scene: Scene) -> None:
    """Have Rita add a provider with a key, and ask a model of it; that nobody answers there is no matter."""
    mark = scene.marks["rita"]
    with scene.service(scene.tokens["rita"]) as api:
        provider = {"vendor": "compatible", "id": "of-rita", "name": mark, "base_url": f"https://models.invalid/{mark}"}
        added = api.post("/api/providers", json={**provider, "key": mark}).raise_for_status().json()
        asked = {"model": f"of-rita/{mark}", "messages": [{"role": "user", "content": mark}]}
        api.post("/v1/chat/completions", json=asked, headers={"X-LLMWS-Notebook": mark})
        wait_for(lambda: mark in api.get("/api/usage/calls").text)
    scene.things |= {"provider": "of-rita", "model of it": "of-rita/m", "key of it": added["keys"][0]["id"]}


def _tune(scene: Scene) -> None:
    """Have Rita train and serve a model of her own, and begin a training that goes on."""
    with scene.service(scene.tokens["rita"]) as api:
        # A model is called by its job's name, which who guesses at it says, too.
        for thing, name, steps in (("job", "of-rita", 6), ("running job", scene.marks["rita"], 100_000)):
            recipe = {"max_steps": steps, "save_steps": 2}
            wanted = {"base": "smollm2-135m", "dataset": "seafarer", "recipe": recipe, "name": name}
            scene.things[thing] = api.post("/api/jobs", json=wanted).raise_for_status().json()["id"]
        wait_for(lambda: _job(api, scene.things["job"])["state"] == "finished")
        wait_for(lambda: _job(api, scene.things["running job"])["state"] == "running")
        api.post(f"/api/jobs/{scene.things['job']}/serve").raise_for_status()
        wait_for(lambda: _job(api, scene.things["job"])["model"])
        scene.things["model"] = _job(api, scene.things["job"])["model"]


def _job(api: httpx.Client, id: str) -> dict[str, Any]:
    return dict(api.get(f"/api/jobs/{id}").raise_for_status().json())


def _wait_for_answer(api: httpx.Client, generation: str) -> None:
    wait_for(lambda: api.get(f"/api/generations/{generation}").json()["state"] != "running")
