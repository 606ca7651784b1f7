"""Requests that nobody means well: each is refused with a reason, or changes nothing; none ends inside the service."""

from __future__ import annotations

import itertools
import json
from typing import Any

import httpx
import pytest

from llmws.messages import Message, Part
from llmws.service.metering import estimate_message

from .harness import Running
from .test_attachments import add, parts, say
from .test_edge import error
from .test_media import png
from .test_tool_calls import call
from .vendor_server import VendorServer

FORMATS = ("json", "markdown", "html", "csv", "notebook")
TITLES = (
    "x\r\nSet-Cookie: a=b",
    'x"; filename="evil.exe',
    '"""\n__import__(\'os\').system(\'x\')\n"""',
    "'''\n\"\"\"\nimport os",
    '\\\n\\"""',
    "\u2028import os\u2029",
    "\u202efdp.exe",
    "../../.bashrc",
    "=cmd|'/c calc'!A0",
    "..",
    "CON",
    "%s%n{0}{title}",
    "</title><script>alert(1)</script>",
    "![x](https://foreign.example/x.png)",
    "x" * 10_000,
)
ELSEWHERE = "https://foreign.example/pixel.png"


@pytest.fixture
def service(service_with_vendor: Running) -> Running:
    return service_with_vendor


def test_an_attachment_without_a_name_smuggles_nothing_in(service: Running) -> None:
    path = f"/api/chats/{service.new_chat(model='vllm/m')['id']}/messages"
    for kind, named in itertools.product(("image", "file"), ("", None, 5, ["x"], {"id": "x"})):
        said = [{"type": kind, "data": {"attachment": named, "url": ELSEWHERE}}, {"type": "text", "text": "Look."}]
        assert "names no attachment" in error(service.http.post(path, json={"parts": said}), 422)["message"]
    assert service.get(path)["items"] == []


def test_what_is_said_of_an_attachment_is_not_believed(service: Running, vendor: VendorServer) -> None:
    added = add(service, png(3, 2))
    [picture, text] = parts(added)
    picture["data"] |= {"url": ELSEWHERE, "name": "../x", "media_type": "text/html", "width": 10**9}
    chat = service.new_chat(model="vllm/m")["id"]
    say(service, chat, [picture, text])
    kept = service.get(f"/api/chats/{chat}/messages")["items"][0]["message"]["parts"][0]["data"]
    about = {"attachment": added["id"], "name": "a.png", "media_type": "image/png", "width": 3, "height": 2}
    assert kept == about
    assert ELSEWHERE not in json.dumps(vendor.asked)


def test_what_is_nested_without_end_is_refused(service: Running) -> None:
    chat = service.new_chat()["id"]
    bodies = {
        "/api/chats": '{"model": "echo", "parameters": {"extra": {"a": NESTED}}}',
        f"/api/chats/{chat}/messages": '{"text": "x", "tools": [{"name": "x", "parameters": {"a": NESTED}}]}',
        "/api/generations": '{"model": "echo", "messages": [{"role": "user", "parts": NESTED}]}',
        "/api/tickets": "NESTED",
    }
    for depth, (path, body) in itertools.product((101, 900, 5_000, 100_000), bodies.items()):
        nested = body.replace("NESTED", "[" * depth + "]" * depth)
        error(service.http.post(path, content=nested, headers={"Content-Type": "application/json"}), 422)


def test_results_of_no_call_are_nothing_to_answer(service: Running) -> None:
    for data in (None, {}, {"id": "c"}, {"id": ["c"]}):
        said = [] if data is None else [{"type": "tool_result", "text": "x", "data": data}]
        body = {"model": "vllm/m", "messages": [{"role": "tool", "parts": said}]}
        error(service.http.post("/api/generations", json=body), 422)


def test_a_call_may_have_anything_for_an_id(service: Running) -> None:
    told = {"id": ["c"], "name": "look", "arguments": "{}"}
    said = [
        {"role": "assistant", "parts": [{"type": "tool_call", "data": told}]},
        {"role": "tool", "parts": [{"type": "tool_result", "text": "x", "data": {"id": ["c"]}}]},
        {"role": "user", "parts": [{"type": "text", "text": "And?"}]},
    ]
    generation = service.post("/api/generations", {"model": "vllm/m", "messages": said})
    assert service.message(generation["id"]).text == "Yes."


def test_whatever_a_model_passes_to_a_function_can_be_exported(service: Running) -> None:
    for arguments in ("[" * 20_000, '{"a":' * 20_000, "1" * 5_000, '"\\ud800"', "NaN", ""):
        chat = service.new_chat()["id"]
        script = {"extra": {"tool_calls": [{"name": "</pre><script>", "arguments": arguments}]}}
        said = {"text": "x", "parameters": script, "tools": [{"name": "add"}]}
        sent = service.post(f"/api/chats/{chat}/messages", said)
        assert service.message(sent["generation"]["id"]).finish_reason == "tool_calls"
        for kind in FORMATS:
            exported = service.http.get("/api/exports", params={"chat": chat, "format": kind})
            assert exported.is_success
            assert kind != "html" or "<script" not in exported.text


def test_ids_of_another_chat_are_those_of_nothing(service: Running) -> None:
    here, there = service.new_chat()["id"], service.new_chat()["id"]
    call(service, there)
    asked, answer = service.get(f"/api/chats/{there}/messages")["items"]
    own, others = f"/api/chats/{here}/messages", f"/api/chats/{there}/messages"
    refused = [
        service.http.post(own, json={"text": "x", "replaces": asked["id"]}),
        service.http.get(f"{own}/{asked['id']}"),
        *(service.http.post(f"{own}/{answer['id']}/{act}", json=None) for act in ("regenerate", "continue", "select")),
    ]
    for response in refused:
        error(response, 404)
    error(service.http.get(own, params={"cursor": answer["id"]}), 422)
    results = [{"id": f"call_{n}", "text": "3"} for n in range(2)]
    error(service.http.post(own, json={"tool_results": results}), 409)
    # Not in place of what was asked either: there nothing waits.
    error(service.http.post(others, json={"tool_results": results, "replaces": asked["id"]}), 409)
    assert service.get(own)["items"] == []
    assert len(service.get(others)["items"]) == 2


def test_a_ticket_is_good_for_nothing_else(service: Running) -> None:
    chat, other = service.new_chat()["id"], service.new_chat()["id"]
    attachment = add(service)["id"]

    def ticket(action: str, thing: str) -> str:
        return str(service.post("/api/tickets", {"action": action, "thing": thing})["ticket"])

    issued = {
        f"chats/{chat}/download": ticket("download", f"chats/{chat}"),
        f"chats/{other}/download": ticket("download", f"chats/{other}"),
        "chats/download": ticket("download", "chats"),
        f"attachments/{attachment}/download": ticket("download", f"attachments/{attachment}"),
    }
    with httpx.Client(base_url=f"{service.instance.url}/door/", trust_env=False) as browser:
        for path in issued:
            for other_path, other_ticket in issued.items():
                response = browser.get(path, params={"ticket": other_ticket})
                assert response.status_code == (200 if path == other_path else 403), (path, other_path)
        upload = ticket("upload", "attachments")
        for wrong in issued.values():
            error(browser.post("attachments/upload", params={"ticket": wrong, "name": "a"}, content=b"x"), 403)
        error(browser.get("chats/download", params={"ticket": upload}), 403)
        error(
            browser.get(f"chats/{chat}/../{other}/download", params={"ticket": issued[f"chats/{chat}/download"]}), 403
        )
        error(browser.get(f"chats/{chat}%2F..%2F{other}/download", params={"ticket": issued["chats/download"]}), 404)
    for thing in ("chats/", "chats//", f"chats/{chat}/", f"chats/{chat}/..", f"attachments/{chat}", "chats/%2e%2e"):
        assert service.http.post("/api/tickets", json={"action": "download", "thing": thing}).status_code in (404, 422)


def test_a_title_is_but_a_name_in_every_file(service: Running) -> None:
    for title in TITLES:
        given = {"title": title, "system": title, "parameters": {"stop": [title], "extra": {title: title}}}
        chat = service.new_chat(**given)["id"]
        service.message(service.send(chat, title)["generation"]["id"])
        exported = {one: service.http.get("/api/exports", params={"chat": chat, "format": one}) for one in FORMATS}
        for response in exported.values():
            named = response.headers["content-disposition"]
            assert "set-cookie" not in response.headers
            assert named.startswith('attachment; filename="')
            assert named.count('"') == 2
            assert not {"/", "\\", "\r", "\n", "\u202e"} & set(named)
        check_replays(exported["notebook"].json(), title)
        assert "<script" not in exported["html"].text
        assert "<img" not in exported["html"].text


def check_replays(notebook: dict[str, Any], title: str) -> None:
    """Run the notebook's cells with a workspace that only notes down what it is told."""
    told: dict[str, Any] = {}

    class Chat:
        def send(self, text: str, **more: Any) -> None:
            told["asked"] = text

    class Chats:
        def create(self, **given: Any) -> Chat:
            told.update(given)
            return Chat()

    class Noted:
        chats = Chats()

        def connect(self) -> Noted:
            return self

    first, *others = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {"llmws": Noted()}
    assert first.startswith("import llmws\n")
    for source in (first.removeprefix("import llmws\n"), *others):
        exec(compile(source, "cell", "exec"), {"__builtins__": {}}, names)
    assert (told["title"], told["system"], told["asked"]) == (title, title, title)
    assert told["extra"] == {title: title}


QUERIES = (
    *"\" * ^ : - + ( ) { } [ ] , . ; ' ` % _ \\ ~ ! @ # $ & = < > ? | /",
    *("NEAR", "AND", "OR", "NOT", "NEAR(a b, 2)", "a NEAR/2 b", "title:x", "{title text}:x", "-x", "x*", "^x", "x AND"),
    *(
        '"x',
        'x"',
        '""',
        '"" ""',
        'x"y',
        '"x" OR "y"',
        "'; DROP TABLE chats; --",
        "' OR '1'='1",
        "x) OR (1=1",
        "\\",
        "%00",
    ),
    *(
        "中",
        "中文",
        "中 文",
        '"中文',
        "中*",
        "文件 NEAR 中",
        "a中b",
        "🙂",
        "\u202e",
        "\x00",
        "\ufffe",
        "ﷺ",
        "İ",
        "ß",
        "e\u0301",
    ),
    *("a " * 5_000, "中" * 10_000, "x" * 60_000, '"' * 10_001, "(" * 5_000, "a OR " * 2_000),
)


def test_a_search_takes_whatever_is_typed(service: Running) -> None:
    chat = service.new_chat(title="Moons 中文")["id"]
    service.message(service.send(chat, "Name three moons.")["generation"]["id"])
    for query in QUERIES:
        for more in ({}, {"folder": query[:100]}, {"tag": query[:100]}, {"archived": True}):
            # As long as an address may be.
            response = service.http.get("/api/chats", params={"query": query[:5_000], **more})
            assert response.status_code in (200, 422), (query[:40], response.text)
    # What matches anything in SQL or in the index is but a letter.
    for query in ("%", "_", "*", "Mo%ns", "M__ns", '" OR "', "NOT x"):
        assert service.get("/api/chats", query=query)["items"] == [], query
    [found] = service.get("/api/chats", query='"moons')["items"]
    assert found["id"] == chat


@pytest.mark.parametrize("size", ["1", "<img>", [], {}, True, -(10**12), 1e308, None])
def test_a_picture_is_never_less_than_nothing(size: Any) -> None:
    picture = Part("image", data={"width": size, "height": 10**12, "url": ELSEWHERE})
    assert estimate_message(Message("user", (picture,))) >= estimate_message(Message("user", ()))
