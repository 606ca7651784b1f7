"""Tokens and cookies: each opens what it was given for, and nothing else, wherever it is shown."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from llmws.service.access import NEEDS, Open, Rule
from llmws.service.app import ROUTERS
from llmws.service.identity import RUNNER, SCOPES
from llmws.service.tickets import Ticketed
from tests.service.test_access import routes, rules

from ..running import wait_for
from .scene import SERVICE, Attempts, Scene, Wire

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

ACCESS = "access:services!service=llmws"
HOW = ("Authorization: token", "Authorization: Bearer", "Authorization: Basic", "token", "Cookie", "both headers")


@pytest.fixture(scope="module")
def dead(scene: Scene) -> dict[str, str]:
    """Tokens that were good once, or never: nobody's, one that has expired, one that was revoked."""
    rita = scene.people["rita"]
    expired = scene.mint("rita", expires_in=1, note="short")
    revoked = rita.ask("POST", "/hub/api/users/rita/tokens", json={"note": "gone"}).raise_for_status().json()
    rita.ask("DELETE", f"/hub/api/users/rita/tokens/{revoked['id']}").raise_for_status()

    def has_expired() -> bool:
        asked = httpx.get(f"{scene.hub.url}/hub/api/user", headers={"Authorization": f"token {expired}"}, timeout=60)
        return asked.status_code == 403

    wait_for(has_expired)
    service_json = json.loads((scene.hub.state.service / "service.json").read_text())
    return {
        "nobody": "",
        "made up": "0" * 32,
        "of the service's own file": service_json["token"],
        "expired": expired,
        "revoked": revoked["token"],
        "not ASCII": "\u00e9\u00ff",
        "long": "x" * 7000,
        "list": "a, b",
    }


def _shown(how: str, token: str, name: str) -> tuple[dict[str, str], str]:
    """Headers and query by which a token is shown."""
    if how == "token":
        return {}, f"?token={token}" if token.isalnum() and token.isascii() else "?token="
    if how == "Cookie":
        cookies = (f"jupyterhub-user-{name}", "jupyterhub-services-llmws", "jupyterhub-hub-login", "token", "username")
        return {"Cookie": "; ".join(f"{cookie}={token}" for cookie in cookies)}, ""
    if how == "both headers":
        return {"Authorization": f"Bearer {token}", "X-Forwarded-User": name, "X-JupyterHub-User": name}, ""
    return {"Authorization": f"{how.partition(': ')[2]} {token}"}, ""


PATHS = ("", "api/kernels", "api/contents/", "api/contents/private/mark.txt", "lab", "files/welcome.ipynb", "api/me")
PATHS += ("voila/render/chat.ipynb", "voila/files/x.png", "voila/static/voila.js", "llmws/chats/x/download", "metrics")
PATHS += ("api/kernels/KERNEL", "voila/api/shutdown/KERNEL", "api/sessions", "api/terminals", "api/status")


@pytest.mark.parametrize("victim", ["rita", "bob", "ann/admin"])
def test_a_server_opens_to_its_person_only(scene: Scene, attempts: Attempts, dead: dict[str, str], victim: str) -> None:
    name, _, server = victim.partition("/")
    others = {f"of {other}": token for other, token in scene.tokens.items() if other != victim}
    if victim == "ann/admin":
        # Her own everyday server must not command the one that administers.
        others |= {"of rita's own making": scene.mint("rita")}
    tokens = {**dead, **others, "of the runner": scene.hub.state.secret("runner_token")}
    kernel = scene.kernels[victim].id
    root = f"/user/{name}/{server and server + '/'}"
    for port, (whose, token), how in itertools.product((scene.hub.port, scene.ports[victim]), tokens.items(), HOW):
        wire = Wire(port)
        for method, path in itertools.product(("GET", "POST", "DELETE"), PATHS):
            if method != "GET" and not path.startswith("api/"):
                continue
            headers, query = _shown(how, token, name)
            target = root + path.replace("KERNEL", kernel) + query
            answer = wire.ask(method, target, _latin(headers), b"{}" if method == "POST" else b"")
            what = f"{method} {target} at {port}, token {whose} as {how}"
            attempts.add(what, _opened(answer.status, path, answer.body) and answer.status)
            if answer.status in (301, 302):
                attempts.add(f"{what}, sent elsewhere", not _is_sign_in(answer.location, root) and answer.location)
    assert scene.people[name].ask("GET", f"{root}api/kernels/{kernel}").is_success


def _latin(headers: dict[str, str]) -> dict[str, str]:
    return {name: value.encode("utf-8").decode("latin-1") for name, value in headers.items()}


def _opened(status: int, path: str, body: bytes) -> bool:
    # Lab's Voilà shows its own static files to whoever asks: they are the same for all, and public in its sources.
    return status < 300 and status != 0 and not path.startswith("voila/static/") and b"login" not in body[:3000]


def _is_sign_in(location: str, root: str) -> bool:
    return "/hub/" in location or location.startswith(root)


CREDENTIALS = ("nobody", "nils", "bob", "rolf", "ann", "ann/admin", "runner")


def _stated() -> Iterator[tuple[APIRoute, str, str]]:
    """Every route of the service with its method and the scope that it needs; none for the open ones."""
    for module in ROUTERS:
        for route in routes(module.router):
            (rule,) = rules(route.dependant)
            for method in sorted(route.methods):
                yield route, method, "" if isinstance(rule, Open) else _needed(rule)


def _needed(rule: Rule) -> str:
    return "ticket" if isinstance(rule, Ticketed) else NEEDS[rule.action]


@pytest.mark.parametrize("way", ["proxy", "port"])
def test_every_route_of_the_service_by_everybody(scene: Scene, attempts: Attempts, way: str) -> None:
    """Nothing of Rita's is shown to or changed by anybody else, and nothing is open to who may not."""
    state = scene.hub.state
    wire = Wire(scene.hub.port if way == "proxy" else state.ports().service)
    tokens = {"nobody": "", "nils": scene.mint("nils"), "runner": state.secret("runner_token"), **scene.tokens}
    may = {
        "bob": {"chat"},
        "rolf": {"chat", "train"},
        "ann": {"chat", "train"},
        "ann/admin": set(SCOPES),
        "runner": {RUNNER},
    }
    for (route, method, needed), whose in itertools.product(_stated(), CREDENTIALS):
        lets_in = needed == "" or needed in may.get(whose, set())
        for thing in scene.things.values() if re.search("{id(:path)?}", route.path) else [""]:
            if "/" in thing and "{id:path}" not in route.path:
                continue  # there is no such route
            path = _named(route.path, scene, thing)
            if lets_in and (needed in ("admin", RUNNER) or path == "/api/presence"):
                continue  # it is theirs to do, and would end what runs here, or not end
            if whose == "ann/admin" and path.startswith("/api/providers/"):
                continue  # an administrator may look at every provider, and remove it
            answer = wire.ask(
                method, SERVICE + path, {**_bearer(tokens[whose]), "Content-Type": "application/json"}, b"{}"
            )
            what = f"{method} {path} by {whose}"
            attempts.add(what, scene.shows_secrets(answer.body, ["rita"]))
            if not lets_in:
                attempts.add(f"{what}, who may not", answer.status not in (401, 403) and answer.status)
            elif thing:
                attempts.add(f"{what}, whose it is not", answer.status < 400 and answer.status)
    with scene.service(scene.tokens["rita"]) as api:
        shown = api.get(f"/api/chats/{scene.things['chat']}/messages").raise_for_status().json()["items"]
        assert len(shown) == 2
        assert api.get(f"/api/jobs/{scene.things['running job']}").json()["state"] == "running"
        assert api.get(f"/api/jobs/{scene.things['job']}").json()["model"] == scene.things["model"]
        assert api.get(f"/api/models/{scene.things['model']}/grants").json()["items"] == []
        assert api.get(f"/api/comparisons/{scene.things['comparison']}").is_success
        assert api.get(f"/api/assistants/{scene.things['assistant']}").json()["name"] == scene.marks["rita"]
        for thing in (f"chats/{scene.things['chat']}", f"assistants/{scene.things['assistant']}"):
            assert api.get(f"/api/{thing}/grants").json()["items"] == []
        assert api.get(f"/api/chats/{scene.things['chat']}/links").json()["items"] == []
        provider = api.get("/api/providers/of-rita").raise_for_status().json()
        assert [key["id"] for key in provider["keys"]] == [scene.things["key of it"]]
        assert (provider["name"], provider["shared_with"]) == (scene.marks["rita"], [])


def _named(path: str, scene: Scene, thing: str) -> str:
    """The path of a route with something of Rita's in it."""
    names = {"id": thing, "kind": "person", "grantee": "rolf", "key_id": scene.things["key of it"], "model": "m"}
    names |= {"link_id": scene.things["link"], "secret": scene.link.rpartition("/")[2]}
    return re.sub(r"{(\w+)(:path)?}", lambda found: names.get(found[1], "tools"), path)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def test_the_service_knows_no_dead_or_made_up_token(scene: Scene, attempts: Attempts, dead: dict[str, str]) -> None:
    ports = (scene.hub.port, scene.hub.state.ports().service)
    paths = ("/api/chats", "/api/status", "/v1/models", "/api/runner/claim", f"/api/chats/{scene.things['chat']}")
    for port, (whose, token), how, path in itertools.product(ports, dead.items(), HOW, paths):
        headers, query = _shown(how, token, "rita")
        answer = Wire(port).ask("GET", f"{SERVICE}{path}{query}", _latin(headers))
        # 431: five cookies of 7,000 characters are more than the proxy reads.
        attempts.add(f"GET {path} at {port}, {whose} as {how}", answer.status not in (401, 405, 431) and answer.status)
    # Cookies of the hub and of one's own server are none of the service's.
    for name, path in itertools.product(("rita", "bob", "ann"), paths):
        for of in ("/hub/", f"/user/{name}/"):
            answer = Wire(scene.hub.port).ask("GET", SERVICE + path, scene.cookies(name, of))
            attempts.add(f"GET {path} with {name}'s cookies of {of}", answer.status not in (401, 405) and answer.status)


def test_a_path_cannot_talk_its_way_past_the_service_s_door(scene: Scene, attempts: Attempts) -> None:
    """Some paths need no token; none of the others may look like one of them."""
    ports = (scene.hub.port, scene.hub.state.ports().service)
    open_ones = ("/healthz", "/docs", "/openapi.json", "/door", "/door/")
    ways = (
        "/../api/chats",
        "/%2e%2e/api/chats",
        "/..%2fapi/chats",
        "/%2e%2e%2fapi%2fchats",
        "//api/chats",
        ";/api/chats",
    )
    ways += (
        "/..;/api/chats",
        "%00/../api/chats",
        "?/api/chats",
        "#/api/chats",
        "/x/../../api/chats",
        "\\..\\api\\chats",
    )
    for port, start, way, prefix in itertools.product(
        ports, open_ones, ways, (SERVICE, "", SERVICE * 2, "/x" + SERVICE)
    ):
        answer = Wire(port).ask("GET", prefix + start + way)
        attempts.add(f"GET {prefix}{start}{way} at {port}", b'{"items":[' in answer.body and answer.body[:80])


def test_a_ticket_is_for_one_person_one_action_and_one_thing(scene: Scene, attempts: Attempts) -> None:
    chat, wire, ticket = scene.things["chat"], Wire(scene.hub.port), scene.ticket()
    good = f"{SERVICE}/door/chats/{chat}/download?ticket={ticket}&format=json"
    assert scene.shows_secrets(wire.ask("GET", good).body, ["rita"]) == ["rita"]
    payload, *rest = ticket.split(".")
    forged = {
        "no ticket": "",
        "empty": "ticket=",
        "unsigned": f"ticket={payload}",
        "signature cut": f"ticket={ticket[:-1]}",
        "signature of another": f"ticket={payload}.{rest[0]}.{'A' * len(rest[-1])}",
        "no signature": f"ticket={payload}.{rest[0]}.",
        "twice, bad last": f"ticket={ticket}&ticket=x",
        "a token": f"ticket={scene.tokens['rita']}",
        "JSON": 'ticket=["rita","download","chats/' + chat + '"]',
        "none alg": "ticket=eyJhbGciOiJub25lIn0.WyJyaXRhIl0.",
    }
    for what, query in forged.items():
        answer = wire.ask("GET", f"{SERVICE}/door/chats/{chat}/download?{query}&format=json")
        attempts.add(what, scene.shows_secrets(answer.body, ["rita"]))
    with scene.service(scene.tokens["ann"]) as api:
        other = api.get("/api/chats").json()["items"][0]["id"]
    elsewhere = (f"/door/chats/{other}/download", f"/api/chats/{chat}", f"/api/chats/{chat}/messages", "/api/chats")
    elsewhere += (f"/door/chats/{chat}/../{other}/download", f"/door/chats/{chat}%2f..%2f{other}/download")
    for path, method in itertools.product(elsewhere, ("GET", "POST", "DELETE")):
        answer = wire.ask(method, f"{SERVICE}{path}?ticket={ticket}&format=json")
        attempts.add(f"{method} {path}", answer.status < 400 and answer.status)
    # And nobody gets one for what is another's, whatever the name of it.
    things = (
        f"chats/{chat}",
        f"chats/{chat}/",
        f"chats//{chat}",
        f"chats/{chat}\x00",
        f"chats/../chats/{chat}",
        "chats/%",
    )
    for whose, thing in itertools.product(("bob", "rolf", "ann", "ann/admin"), things):
        with scene.service(scene.tokens[whose]) as api:
            made = api.post("/api/tickets", json={"action": "download", "thing": thing})
            attempts.add(f"a ticket for {thing!r} by {whose}", made.is_success and made.text)


def test_a_link_opens_one_conversation_as_long_as_it_is_good(scene: Scene, attempts: Attempts) -> None:
    wire, chat = Wire(scene.hub.port), scene.things["chat"]
    with scene.service(scene.tokens["rita"]) as api:
        good = api.post(f"/api/chats/{chat}/links", json={}).raise_for_status().json()
        assert scene.shows_secrets(wire.ask("GET", good["path"]).body, ["rita"]) == ["rita"]
        folder, _, secret = good["path"].rpartition("/")
        # What it shows runs nothing, in whatever way it is asked for.
        for way in ("", "?download=1", "?format=json", "?format=<script>"):
            answer = wire.ask("GET", good["path"] + way)
            policy = answer.headers.get("Content-Security-Policy", "")
            attempts.add(f"{way} without a sandbox", "sandbox" not in policy or "default-src 'none'" not in policy)
            attempts.add(f"{way} with a script", b"<script" in answer.body)
        # Nor is it good for anything else.
        for path, method in itertools.product(
            ("/api/chats", f"/api/chats/{chat}", f"/api/shared/{chat}"), ("GET", "POST")
        ):
            for headers in ({"Authorization": f"Bearer {secret}"}, {"X-Api-Key": secret}):
                answer = wire.ask(method, f"{SERVICE}{path}?ticket={secret}", headers)
                attempts.add(f"{method} {path} by a link", answer.status < 400 and answer.status)
        api.delete(f"/api/chats/{chat}/links/{good['id']}").raise_for_status()
    # Fewer than make a guesser wait: what is tried here is not that.
    guesses = (secret, secret[:-1], secret + "A", secret.swapcase(), secret + "%00", "%25", f"{secret}/../{secret}")
    guesses += (good["id"], chat, "../chats", "' OR 1=1 --".replace(" ", "%20"), "*", "x" * 6000)
    for guess in (*guesses, scene.link.rpartition("/")[2]):
        answer = wire.ask("GET", f"{folder}/{guess}")
        attempts.add(f"the link {guess[:60]}", scene.shows_secrets(answer.body, ["rita"]))
        attempts.add(f"the link {guess[:60]}, with an error", answer.status >= 500 and answer.status)


# What a token or a browser asks the hub for; `ME` is who asks, RITA stays whom it is about.
HUB_API: list[tuple[str, str, Any]] = [
    ("GET", "users", None),
    ("GET", "users/rita", None),
    ("GET", "users/ann", None),
    ("GET", "users/rita/tokens", None),
    ("POST", "users/rita/tokens", {}),
    ("POST", "users/ann/tokens", {"scopes": ["custom:llmws:admin"]}),
    ("POST", "users/ME/tokens", {"scopes": ["custom:llmws:admin"]}),
    ("POST", "users/ME/tokens", {"scopes": ["admin:users"]}),
    ("POST", "users/ME/tokens", {"scopes": ["custom:llmws:runner"]}),
    ("POST", "users/ME/tokens", {"scopes": ["access:servers!server=rita/"]}),
    ("POST", "users/ME/tokens", {"scopes": ["access:servers"]}),
    ("POST", "users/ME/tokens", {"roles": ["admin"]}),
    ("POST", "users/ME/tokens", {"roles": ["llmws-admins"]}),
    ("POST", "users/rita/server", {}),
    ("DELETE", "users/rita/server", None),
    ("POST", "users/ME/servers/admin", {}),
    ("POST", "users/ME/servers/other", {}),
    ("POST", "users/rita/servers/admin", {}),
    ("POST", "users/ann/servers/admin", {}),
    ("DELETE", "users/ann/servers/admin", None),
    ("DELETE", "users/rita", None),
    ("PATCH", "users/ME", {"admin": True}),
    ("PATCH", "users/rita", {"name": "x"}),
    ("POST", "users", {"usernames": ["made"]}),
    ("POST", "users/made", {"admin": True}),
    ("POST", "users/rita/activity", {"last_activity": "2030-01-01T00:00:00Z"}),
    ("GET", "groups", None),
    ("GET", "groups/admins", None),
    ("POST", "groups/made", {}),
    ("POST", "groups/admins/users", {"users": ["ME"]}),
    ("PUT", "groups/admins/properties", {"x": 1}),
    ("DELETE", "groups/researchers", None),
    ("DELETE", "groups/researchers/users", {"users": ["rita"]}),
    ("GET", "services", None),
    ("GET", "services/llmws", None),
    ("POST", "services/made", {"admin": True}),
    ("DELETE", "services/llmws", None),
    ("GET", "proxy", None),
    ("PATCH", "proxy", {"ip": "127.0.0.1", "port": 1}),
    ("POST", "proxy", {}),
    ("POST", "shutdown", {}),
    ("GET", "info", None),
    ("POST", "shares/rita/", {"user": "ME"}),
    ("GET", "shares/rita/", None),
    ("POST", "share-codes/rita/", {}),
    ("GET", "../metrics", None),
    ("GET", "../admin", None),
    ("GET", "../accounts", None),
]


@pytest.mark.parametrize("way", ["proxy", "port"])
def test_what_a_server_s_token_may_ask_of_the_hub(scene: Scene, attempts: Attempts, way: str) -> None:
    """A kernel that somebody took over makes no tokens, starts nothing, and learns nothing of others."""
    wire = Wire(scene.hub.port if way == "proxy" else scene.hub.state.ports().hub)
    tokens = {**scene.tokens, "nobody": "", "runner": scene.hub.state.secret("runner_token")}
    del tokens["rita"]
    for whose, (method, path, body) in itertools.product(tokens, HUB_API):
        if whose.partition("/")[0] in path.split("/"):
            continue
        told = json.dumps(body).replace("ME", whose.partition("/")[0]).encode() if body is not None else b""
        target = f"/hub/api/{path.replace('ME', whose.partition('/')[0])}".replace("/api/../", "/")
        headers = {"Authorization": f"token {tokens[whose]}"} if tokens[whose] else {}
        answer = wire.ask(method, target, {**headers, "Content-Type": "application/json"}, told)
        attempts.add(f"{method} {target} {body} by {whose}'s server", _is_done(answer.status, answer.body))
    _assert_all_is_as_before(scene)


def _is_done(status: int, body: bytes) -> str | int:
    """What came of it. A list that is empty tells of nobody, and a page that asks to sign in is a refusal."""
    return (
        0 < status < 300
        and body.strip() not in (b"[]", b"{}")
        and b"Sign in" not in body
        and f"{status} {body[:200]!r}"
    )


@pytest.mark.parametrize("name", ["rolf", "bob", "nils"])
def test_what_a_browser_may_ask_of_the_hub(scene: Scene, attempts: Attempts, name: str) -> None:
    """One's own page may do more than one's kernel; all of it to oneself."""
    for method, path, body in HUB_API:
        told = json.loads(json.dumps(body).replace("ME", name))
        target = f"/hub/api/{path.replace('ME', name)}".replace("/api/../", "/")
        answer = scene.people[name].ask(method, target, json=told)
        attempts.add(f"{method} {target} {body} by {name}", _is_done(answer.status_code, answer.content))
    _assert_all_is_as_before(scene)


def _assert_all_is_as_before(scene: Scene) -> None:
    everybody = scene.people["ann"].ask("GET", "/hub/api/users").raise_for_status().json()
    found = {person["name"]: (person["admin"], sorted(person["groups"])) for person in everybody}
    assert found == {
        "ann": (False, ["admins"]),
        "rita": (False, ["researchers"]),
        "rolf": (False, ["researchers"]),
        "bob": (False, ["business"]),
        "bea": (False, ["business"]),
        "nils": (False, []),
    } or set(found) <= {"ann", "rita", "rolf", "bob", "bea", "nils"}
    assert {name for name, (admin, _) in found.items() if admin} == set()
    assert [person["name"] for person in everybody if "admins" in person["groups"]] == ["ann"]
    assert all(scene.people[name].get(f"/user/{name}/api/kernels/{scene.kernels[name].id}") for name in ("rita", "bob"))


def test_a_foreign_page_cannot_use_a_browser_s_cookies(scene: Scene, attempts: Attempts) -> None:
    """Each request as a browser would send it for a page of another site, or of another server on this hub."""
    wire = Wire(scene.hub.port)
    sites = {
        "another site": {
            "Origin": "http://evil.example",
            "Referer": "http://evil.example/",
            "Sec-Fetch-Site": "cross-site",
        },
        "a sandbox": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        "says nothing": {},
        "a name that is like it": {"Origin": f"{scene.hub.url}.evil.example"},
    }
    plain = {"Content-Type": "text/plain"}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    asked: list[tuple[str, str, dict[str, str], bytes]] = [
        ("POST", "/hub/api/users/rita/tokens", plain, b"{}"),
        ("POST", "/hub/api/users/rita/server", plain, b"{}"),
        ("DELETE", "/hub/api/users/rita/server", {}, b""),
        ("POST", "/hub/spawn", form, b"x=1"),
        ("POST", "/hub/password", form, b"present=x&new=y"),
        ("POST", "/hub/sign-out-everywhere", form, b""),
        ("POST", "/hub/stop", form, b""),
        ("POST", "/user/rita/api/kernels", plain, b'{"name": "python3"}'),
        ("DELETE", f"/user/rita/api/kernels/{scene.kernels['rita'].id}", {}, b""),
        ("PUT", "/user/rita/api/contents/planted.txt", plain, b'{"type": "file", "format": "text", "content": "x"}'),
        ("POST", "/user/rita/api/shutdown", plain, b""),
        ("POST", "/user/rita/api/terminals", plain, b""),
        ("POST", f"/user/bob/voila/api/shutdown/{scene.kernels['bob'].id}", plain, b""),
        ("DELETE", f"/user/bob/api/kernels/{scene.kernels['bob'].id}", {}, b""),
        ("POST", "/hub/accounts", form, b"action=approve&name=mallory&group=admins"),
        ("POST", "/hub/api/groups/admins/users", plain, b'{"users": ["rolf"]}'),
    ]
    for (method, path, headers, body), (site, said) in itertools.product(asked, sites.items()):
        name = (
            path.split("/")[2]
            if path.startswith("/user/")
            else "ann"
            if "admins" in path or "accounts" in path
            else "rita"
        )
        # A browser sends the hub's cookies to the hub, and a server's to that server.
        cookies = scene.cookies(name, "/hub/" if path.startswith("/hub/") else f"/user/{name}/")
        answer = wire.ask(method, path, {**cookies, **headers, **said}, body)
        attempts.add(f"{method} {path} from {site}", answer.status < 400 and f"{answer.status} {answer.location}")
    _assert_all_is_as_before(scene)


def test_the_proxy_is_commanded_by_the_hub_alone(scene: Scene, attempts: Attempts) -> None:
    wire = Wire(scene.hub.state.ports().proxy)
    tokens = {"nobody": "", "made up": "0" * 64, "runner": scene.hub.state.secret("runner_token"), **scene.tokens}
    for (whose, token), scheme, path in itertools.product(
        tokens.items(),
        ("token", "Bearer", "Basic", ""),
        ("/api/routes", "/api/routes/", "/api/routes/user/rita", "/", "/api"),
    ):
        headers = {"Authorization": f"{scheme} {token}".strip(), "Content-Type": "application/json"} if token else {}
        for method, body in (("GET", b""), ("POST", b'{"target": "http://127.0.0.1:1"}'), ("DELETE", b"")):
            answer = wire.ask(method, path, headers, body)
            attempts.add(f"{method} {path} by {whose} as {scheme}", 0 < answer.status < 400 and answer.status)
    assert scene.people["rita"].get("/user/rita/api/kernels").is_success


def test_a_sign_in_for_one_server_is_none_for_another(scene: Scene, attempts: Attempts) -> None:
    """The hub's OAuth: no code for another's server, to another address, or with another's secret."""
    base = "/hub/api/oauth2/authorize?response_type=code&state=x"
    clients = (
        "jupyterhub-user-rita",
        "jupyterhub-user-ann-admin",
        "jupyterhub-user-ann",
        "service-llmws",
        "service-llmws-runner",
    )
    places = ("/user/rita/oauth_callback", "/user/rolf/oauth_callback", "http://evil.example/", "//evil.example/")
    places += (f"{scene.hub.url}/user/rolf/oauth_callback", "/services/llmws/oauth_callback", "javascript:1")
    for name, client, place in itertools.product(("rolf", "bob", "nils"), clients, places):
        answer = scene.people[name].ask("GET", f"{base}&client_id={client}&redirect_uri={place}")
        told = answer.headers.get("Location", "")
        if client == "service-llmws" and place == f"{SERVICE}/oauth_callback":
            continue  # this is for everybody: they are who they are there
        attempts.add(f"{name} signs in to {client} at {place}", "code=" in told and told)
    own = f"{base}&client_id=jupyterhub-user-rolf"
    for place in (
        *places[0:1],
        *places[2:4],
        places[5],
        places[6],
        "/user/rolf/oauth_callback/../../rita/oauth_callback",
    ):
        answer = scene.people["rolf"].ask("GET", f"{own}&redirect_uri={place}")
        told = answer.headers.get("Location", "")
        attempts.add(f"rolf's code is sent to {place}", "code=" in told and told)
    for whose, token in scene.tokens.items():
        for client in clients:
            body = f"grant_type=authorization_code&code=x&client_id={client}&client_secret={token}".encode()
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = Wire(scene.hub.state.ports().hub).ask("POST", "/hub/api/oauth2/token", headers, body)
            attempts.add(f"a token of {client} with {whose}'s", b"access_token" in answer.body and answer.body[:100])


def test_what_was_revoked_is_refused_by_the_service_within_a_minute(scene: Scene, attempts: Attempts) -> None:
    """Also where the service had just been told whose it was."""
    rita = scene.people["rita"]
    body = {"note": "used", "scopes": [ACCESS, "custom:llmws:chat"]}
    made = rita.ask("POST", "/hub/api/users/rita/tokens", json=body).raise_for_status().json()
    with scene.service(made["token"]) as api:
        assert api.get("/api/chats").is_success
        assert api.get("/api/jobs").is_success
        attempts.add("a chat's token trains", api.post("/api/jobs", json={}).status_code != 403 and "yes")
        rita.ask("DELETE", f"/hub/api/users/rita/tokens/{made['id']}").raise_for_status()
        wait_for(lambda: api.get("/api/chats").status_code == 401, limit_s=65)
        attempts.add("a revoked token after a minute", api.get("/api/chats").is_success)
