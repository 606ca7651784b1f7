"""The dashboards of a business user: cards, pages in a real browser, and a server that does nothing else."""

from __future__ import annotations

import json
import re
import shutil
import struct
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import websocket
from playwright.sync_api import Browser, Page, expect

from llmws.hub import landing, locked
from llmws.shipped import shipped
from tests.ui.conftest import chromium as chromium  # one way to find a browser

from .running import PASSWORD, Kernel, Person, RunningHub, command_of, execute, header_of, wait_for

SignIn = Callable[[str], Person]
DASHBOARDS = shipped("notebooks") / "dashboards"
LIMIT_MS = 60_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of dashboards as people publish them."""
    (tmp_path / "team").mkdir()
    (tmp_path / ".ipynb_checkpoints").mkdir()
    told = {"title": "Sales", "title_zh": "销售", "description": "By <b>region</b>.", "owner": "ada"}
    write(tmp_path / "sales.ipynb", {"llmws": told})
    write(tmp_path / "team" / "on-call.ipynb", {})
    write(tmp_path / ".ipynb_checkpoints" / "sales-checkpoint.ipynb", {})
    (tmp_path / "sales.png").write_bytes(b"png")
    (tmp_path / "broken.ipynb").write_text("{")
    (tmp_path / "list.ipynb").write_text("[]")
    write(tmp_path / "told.ipynb", {"llmws": "Sales"})
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path


def write(path: Path, metadata: dict[str, Any]) -> None:
    path.write_text(json.dumps({"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))


def test_a_card_says_what_its_notebook_says(folder: Path) -> None:
    on_call, sales = landing.cards(folder)
    assert (sales.title, sales.owner, sales.picture, sales.path) == ("Sales", "ada", "sales.png", "sales.ipynb")
    assert (on_call.title, on_call.path, on_call.picture) == ("On call", "team/on-call.ipynb", None)
    assert [card.title for card in landing.cards(folder, "zh")] == ["On call", "销售"]


def test_the_dashboards_that_come_along_have_cards_in_both_languages() -> None:
    for language in ("en", "zh"):
        for card in landing.cards(DASHBOARDS, language):
            assert card.title
            assert card.description
            assert card.icon in landing.ICONS
            assert (language == "zh") == bool(re.search("[一-鿿]", card.title + card.description))


def test_what_business_users_may_not_do_is_on_no_card(folder: Path) -> None:
    write(folder / "training.ipynb", {"llmws": {"scope": "train"}})
    assert "training.ipynb" not in [card.path for card in landing.cards(folder)]
    assert {"broken.ipynb", "list.ipynb", "told.ipynb", "training.ipynb"} <= set(landing.without_card(folder))
    assert landing.without_card(DASHBOARDS) == ["finetune.ipynb"]


def test_only_a_dashboard_can_be_opened(folder: Path) -> None:
    (folder.parent / "outside.ipynb").write_text("{}")
    (folder / "link.ipynb").symlink_to(folder.parent / "outside.ipynb")
    assert landing.is_dashboard(folder, "sales.ipynb")
    assert landing.is_dashboard(folder, "team/on-call.ipynb")
    tricks = ("", ".", "/", "..", "../outside.ipynb", "team/../sales.ipynb", "./sales.ipynb", "team//on-call.ipynb")
    tricks += ("secret.txt", "sales", "sales.ipynb/", "SALES.IPYNB", "link.ipynb", f"{folder}/sales.ipynb", "\0.ipynb")
    tricks += (".ipynb_checkpoints/sales-checkpoint.ipynb", "sales.ipynb\n", "team/..\\sales.ipynb", "%2e%2e/x.ipynb")
    assert [trick for trick in tricks if landing.is_dashboard(folder, trick)] == []


class Browsing:
    """A person in a real browser."""

    def __init__(self, page: Page, hub: RunningHub, name: str) -> None:
        self.page, self.hub, self.name = page, hub, name
        page.goto(f"{hub.url}/hub/login")
        page.fill("input[name=username]", name)
        page.fill("input[name=password]", PASSWORD)
        page.click("button[type=submit], input[type=submit]")

    def open(self, title: str) -> None:
        self.page.get_by_role("link", name=re.compile(title)).click()


@pytest.fixture
def browse(chromium: Browser, hub: RunningHub) -> Iterator[Callable[..., Browsing]]:
    """Opens a browser for a person; whatever happens, no page asks another host."""
    contexts, asked = [], []

    def enter(name: str, **options: Any) -> Browsing:
        context = chromium.new_context(**{"viewport": {"width": 1200, "height": 800}, "locale": "en-US", **options})
        context.set_default_timeout(LIMIT_MS)
        context.on("request", lambda request: asked.append(request.url))
        contexts.append(context)
        return Browsing(context.new_page(), hub, name)

    yield enter
    for context in contexts:
        for page in context.pages:
            page.goto("about:blank")
        context.close()
    inside = (hub.url, hub.url.replace("http", "ws"), "data:", "blob:", "about:")
    assert [url for url in asked if not url.startswith(inside)] == []


def composer(page: Page) -> Any:
    return page.get_by_role("textbox", name=re.compile("^(Message|消息)$"))


@pytest.mark.long
def test_a_business_user_chats(browse: Callable[..., Browsing]) -> None:
    bob = browse("bob")
    expect(bob.page.get_by_role("heading", name="Dashboards")).to_be_visible(timeout=LIMIT_MS)
    expect(bob.page.get_by_role("link", name="Sign out")).to_be_visible()
    bob.open("Chat")
    expect(composer(bob.page)).to_be_visible(timeout=LIMIT_MS)
    bob.page.get_by_role("button", name=re.compile("^Model: ")).click()
    bob.page.get_by_role("option", name=re.compile("^Echo ")).click()
    composer(bob.page).fill("Ahoy there")
    composer(bob.page).press("Enter")
    expect(bob.page.locator(".lw-answer").last).to_contain_text("Ahoy there", timeout=LIMIT_MS)
    # A cell's code is nowhere on the page.
    assert "ui.Chat()" not in bob.page.content()
    # The way back, by keyboard.
    bob.page.get_by_role("link", name="All dashboards").press("Enter")
    expect(bob.page.get_by_role("heading", name="Dashboards")).to_be_visible(timeout=LIMIT_MS)


@pytest.mark.long
def test_a_business_user_sees_what_they_used_and_no_form(browse: Callable[..., Browsing]) -> None:
    bob = browse("bob")
    bob.open("Usage")
    page = bob.page.locator(".lw-providers")
    tabs = page.get_by_role("navigation").get_by_role("button")
    expect(tabs).to_have_text(["Usage", "Limits"], timeout=LIMIT_MS)
    expect(page.get_by_label("Sum by")).to_be_visible()
    tabs.nth(1).click()
    expect(page.get_by_text("Nothing limits what you use.")).to_be_visible(timeout=LIMIT_MS)
    assert page.get_by_role("button", name=re.compile("Add provider|Set a limit")).count() == 0


@pytest.mark.long
def test_the_cards_and_pages_follow_the_systems_colours_and_language(browse: Callable[..., Browsing]) -> None:
    bea = browse("bea", color_scheme="dark", locale="zh-CN", viewport={"width": 390, "height": 780})
    expect(bea.page.get_by_role("heading", name="仪表板")).to_be_visible(timeout=LIMIT_MS)
    assert bea.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert is_dark(bea.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    bea.open("聊天")
    expect(composer(bea.page)).to_be_visible(timeout=LIMIT_MS)
    assert is_dark(bea.page.evaluate("getComputedStyle(document.querySelector('.lw')).backgroundColor"))
    assert bea.page.evaluate("document.documentElement.scrollWidth") <= 390
    back = bea.page.get_by_role("link", name="所有仪表板")
    box = back.bounding_box()
    assert box is not None
    assert min(box["width"], box["height"]) >= 24
    assert 0 <= box["x"] < 390 - box["width"]
    back.click()
    expect(bea.page.get_by_role("heading", name="仪表板")).to_be_visible(timeout=LIMIT_MS)


@pytest.mark.long
def test_a_page_that_is_left_ends_its_kernel(hub: RunningHub, browse: Callable[..., Browsing]) -> None:
    bob = browse("bob")
    bob.open("Compare")
    expect(bob.page.locator(".lw").first).to_be_visible(timeout=LIMIT_MS)
    kernel = str(bob.page.evaluate("JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId"))
    assert kernels(hub, "bob", kernel)
    bob.page.go_back()
    wait_for(lambda: not kernels(hub, "bob", kernel))


@pytest.mark.long
def test_a_person_cannot_open_more_pages_than_they_can_look_at(hub: RunningHub, sign_in: SignIn) -> None:
    bea = sign_in("bea")
    bea.open_server()
    page = "/user/bea/voila/render/chat.ipynb"
    with ThreadPoolExecutor(3) as browsers:
        answers = list(browsers.map(lambda _: bea.get(page), range(2 * locked.MOST_PAGES)))
    opened, refused = ([answer for answer in answers if answer.status_code == status] for status in (200, 503))
    assert len(opened) + len(refused) == len(answers)
    assert "Close one of them" in refused[-1].text
    # A page that is being opened is counted, and so is its kernel once it is there.
    assert locked.MOST_PAGES - 3 <= len(opened) <= locked.MOST_PAGES + 3
    for answer in opened[:6]:
        found = re.search(r'"kernelId":\s*"([0-9a-f-]{36})"', answer.text)
        assert found
        assert bea.ask("POST", f"/user/bea/voila/api/shutdown/{found[1]}").status_code == 204
    assert bea.get(page).is_success
    bea.stop_server()


ROUTES = (
    "",
    "voila/render/chat.ipynb",
    "voila/static/voila.js",
    "voila/templates/llmws/static/voila.js",
    "voila/files/chat.png",
    "voila/labextensions/@voila-dashboards/widgets-manager8/package.json",
    "voila/api/themes/x",
    "voila/api/contents/",
    "voila/tree/",
    "api/kernels",
    "api/contents/chat.ipynb",
    "api/sessions",
    "api/terminals",
    "lab",
    "files/chat.ipynb",
    "llmws/chats/x",
    "nothing",
)


@pytest.mark.long
def test_no_route_answers_a_stranger(hub: RunningHub, sign_in: SignIn) -> None:
    """Anonymous, signed out, another's token, and other people, at the server's own port and through the proxy."""
    bob = sign_in("bob")
    bob.open_server()
    tried = 0
    own_port = server_port(hub, "bob")
    stranger, rolf = sign_in("nils"), sign_in("rolf")
    for base in (hub.url, f"http://127.0.0.1:{own_port}"):
        for route in ROUTES:
            for person, headers in (
                (stranger, {"Cookie": ""}),
                (stranger, {"Cookie": "", "Authorization": f"token {uuid.uuid4().hex}"}),
                (stranger, {}),
                (rolf, {}),
            ):
                answer = person.get(f"{base}/user/bob/{route}", headers=headers, follow_redirects=False)
                tried += 1
                assert answer.status_code in (302, 403, 404), (route, answer.status_code)
                assert answer.status_code != 302 or "/hub/api/oauth2/authorize" in answer.headers["Location"]
    print(f"{tried} requests, 0 answers")


@pytest.mark.long
def test_nothing_but_the_dashboards_is_there(hub: RunningHub, sign_in: SignIn) -> None:
    bob = sign_in("bob")
    bob.open_server()
    for method, path in (
        ("POST", "api/kernels"),
        ("GET", "api/kernels"),
        ("POST", "api/sessions"),
        ("GET", "api/contents/chat.ipynb"),
        ("PUT", "api/contents/evil.ipynb"),
        ("POST", "api/terminals"),
        ("GET", "files/chat.ipynb"),
        ("GET", "voila/files/chat.ipynb"),
        ("GET", "voila/files/../dashboards/chat.ipynb"),
        ("GET", "voila/api/contents/"),
        ("GET", "voila/tree/"),
        ("GET", "voila/render/..%2Fwelcome.ipynb"),
        ("GET", "voila/render/../welcome.ipynb"),
        ("GET", "voila/render/%2Fetc%2Fpasswd"),
        ("GET", "voila/templates/..%2F..%2F/static/voila.js"),
        ("GET", "voila/static/..%2f..%2f..%2fetc%2fpasswd"),
        ("GET", "nbconvert/html/chat.ipynb"),
        ("GET", "lab"),
        ("GET", "tree"),
        ("GET", "api/kernelspecs"),
        ("GET", "api/config/x"),
        ("POST", "api/shutdown"),
    ):
        answer = bob.ask(method, f"/user/bob/{path}", **({"json": {}} if method != "GET" else {}))
        assert answer.status_code in (400, 403, 404, 405), (method, path, answer.status_code)


@pytest.mark.long
def test_an_address_changes_no_template_and_no_theme(hub: RunningHub, sign_in: SignIn) -> None:
    bob = sign_in("bob")
    bob.open_server()
    for query in ("template=reveal", "theme=dark", "voila-template=lab", "voila-theme=dark"):
        page = bob.get(f"/user/bob/voila/render/chat.ipynb?{query}").text
        assert "cdn.jsdelivr.net" not in page
        assert 'data-jp-theme-light="true"' in page
        assert "form-action 'self'" in page  # our template's policy


@pytest.mark.long
def test_a_page_cannot_execute_code(hub: RunningHub, sign_in: SignIn) -> None:
    """Every message type that asks a kernel for something, by both protocols, on every channel."""
    bob = sign_in("bob")
    bob.open_server()
    kernel = bob.open_dashboard()
    marker = f"PWNED-{uuid.uuid4().hex}"
    code = execute(f"print('PW' + 'NED-' + {marker[6:]!r})")
    asks = {
        "execute_request": code,
        "complete_request": {"code": "os.env", "cursor_pos": 6},
        "inspect_request": {"code": "print", "cursor_pos": 3, "detail_level": 1},
        "history_request": {"hist_access_type": "tail", "n": 10, "output": True, "raw": True},
        "is_complete_request": {"code": "1"},
        "debug_request": {"type": "request", "seq": 1, "command": "initialize", "arguments": {}},
        "create_subshell_request": {},
        "delete_subshell_request": {"subshell_id": "x"},
        "list_subshell_request": {},
        "usage_request": {},
        "interrupt_request": {},
        "input_reply": {"value": "x"},
        "connect_request": {},
        "apply_request": code,
        "clear_request": {},
        "abort_request": {},
    }
    tried = 0
    for asked, content in asks.items():
        for channel in ("shell", "control", "stdin", "iopub"):
            for protocol, message in disguises(asked, content, channel):
                heard = sent_and_heard(bob, kernel, protocol, message)
                tried += 1
                assert marker not in heard, (asked, channel, protocol)
                assert f'"{asked.replace("_request", "_reply")}"' not in heard, (asked, channel, protocol)
    print(f"{tried} messages, 0 executed")


@pytest.mark.long
def test_the_sockets_let_nobody_else_in(hub: RunningHub, sign_in: SignIn) -> None:
    bob, rolf = sign_in("bob"), sign_in("rolf")
    bob.open_server()
    kernel = bob.open_dashboard()
    cookie = bob.cookie_header(kernel.path)
    base = hub.url.replace("http", "ws")
    refused = (
        (kernel.path + "/channels", {}),
        (kernel.path + "/channels", {"cookie": rolf.cookie_header(kernel.path)}),
        (kernel.path + "/channels", {"cookie": cookie, "origin": "https://evil.example"}),
        (f"/user/bob/api/kernels/{uuid.uuid4()}/channels", {"cookie": cookie, "origin": hub.url}),
        # Which kernel waits for which visitor is for the kernels alone.
        (f"/user/bob/voila/query/{kernel.id}", {}),
        (f"/user/bob/voila/query/{kernel.id}", {"cookie": cookie, "origin": hub.url}),
        (f"/user/bob/llmws-query-{'0' * 64}/voila/query/{kernel.id}", {"cookie": cookie, "origin": hub.url}),
    )
    for path, options in refused:
        # Refused, or sent to sign in.
        with pytest.raises(websocket.WebSocketException, match=r"40[34]|Redirect limit"):
            websocket.create_connection(base + path, timeout=20, redirect_limit=0, **options)


@pytest.mark.long
def test_a_change_needs_the_pages_own_token(hub: RunningHub, sign_in: SignIn) -> None:
    bob = sign_in("bob")
    bob.open_server()
    kernel = bob.open_dashboard()
    for headers in ({}, {"X-XSRFToken": "x"}, {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}):
        answer = bob.post(f"/user/bob/voila/api/shutdown/{kernel.id}", headers=headers, follow_redirects=False)
        assert answer.status_code == 403, headers
        assert bob.delete(kernel.path, headers=headers, follow_redirects=False).status_code == 403
    assert kernels(hub, "bob", kernel.id)
    assert bob.ask("POST", f"/user/bob/voila/api/shutdown/{kernel.id}").status_code == 204


@pytest.mark.long
def test_what_lies_in_the_home_changes_nothing(hub: RunningHub, sign_in: SignIn) -> None:
    """What a kernel that somebody took over could leave behind for the next start."""
    bea = sign_in("bea")
    bea.open_server()
    bea.stop_server()
    home, uid = hub.state.home("bea"), hub.uid("bea")
    planted = {
        ".jupyter/voila.json": '{"VoilaConfiguration": {"strip_sources": false, "show_tracebacks": true}}',
        ".jupyter/jupyter_config.py": "open('/tmp/planted-by-jupyter', 'w')",
        "voila.json": '{"VoilaConfiguration": {"template": "lab"}}',
        ".ipython/profile_default/startup/00.py": "print('planted')",
        ".local/lib/python3.11/site-packages/usercustomize.py": f"open({str(home / 'ran')!r}, 'w')",
        ".local/lib/python3.11/site-packages/evil.pth": f"import sys; open({str(home / 'ran')!r}, 'w')",
        ".local/share/jupyter/kernels/python3/kernel.json": '{"argv": ["false"], "language": "python"}',
        ".local/share/jupyter/voila/templates/llmws/index.html.j2": "planted",
        "sitecustomize.py": f"open({str(home / 'ran')!r}, 'w')",
        "llmws.py": f"open({str(home / 'ran')!r}, 'w')",
    }
    for name, text in planted.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(text)
    for path in home.rglob("*"):
        shutil.chown(path, uid, uid)
    try:
        bea.open_server()
        page = bea.get("/user/bea/voila/render/chat.ipynb")
        assert page.is_success
        assert "planted" not in page.text
        assert "ui.Chat()" not in page.text
        assert not (home / "ran").exists()
    finally:
        bea.stop_server()
        for name in planted:
            (home / name).unlink()


@pytest.mark.long
def test_a_preheated_kernel_holds_nothing_of_a_visitor(hub: RunningHub, sign_in: SignIn) -> None:
    """It is there before the visitor: what it asks the service for must wait until a page is shown."""
    bob = sign_in("bob")
    bob.open_server()
    wait_for(lambda: len(kernels(hub, "bob")) >= 3)
    page = bob.get("/user/bob/voila/render/chat.ipynb?secret=of-the-visitor").text
    assert "of-the-visitor" not in page


@pytest.mark.long
def test_kernels_wait_for_what_has_a_card_and_first_for_what_is_asked_for(hub: RunningHub, sign_in: SignIn) -> None:
    bob = sign_in("bob")
    bob.open_server()
    bob.stop_server()
    bob.get("/hub/spawn/bob", params={"next": "/user/bob/voila/render/compare.ipynb"})
    bob.open_server()
    bob.open_dashboard("compare")

    def preheated() -> list[str]:
        """The dashboards for which a kernel waited, by when one first did."""
        log = hub.state.server_log("bob", "").read_text()
        return list(dict.fromkeys(re.findall(r"Kernel pool of (\S+) is filled", log)))

    wait_for(lambda: len(preheated()) >= 3)
    # The fine-tune page has no card for him.
    assert preheated() == ["compare.ipynb", "chat.ipynb", "providers.ipynb"]


def disguises(type: str, content: dict[str, Any], channel: str) -> Iterator[tuple[str | None, Any]]:
    """A message plain, and dressed as one that is allowed."""
    v1, allowed = "v1.kernel.websocket.jupyter.org", "kernel_info_request"
    plain = {"channel": channel, "header": header_of(type), "parent_header": {}, "metadata": {}, "content": content}
    yield None, json.dumps(plain)
    yield None, json.dumps({**plain, "header": header_of(allowed), "msg_type": type})
    header = json.dumps(header_of(type))
    yield v1, framed(channel, header, content)
    # A key that stands twice is read once, but by whom the first and by whom the last?
    yield v1, framed(channel, json.dumps(header_of(allowed))[:-1] + f', "msg_type": "{type}"}}', content)
    yield v1, framed(channel, header[:-1] + f', "msg_type": "{allowed}"}}', content)


def framed(channel: str, header: str, content: dict[str, Any]) -> bytes:
    """https://jupyter-server.readthedocs.io/en/latest/developers/websocket-protocols.html"""
    parts = [channel.encode(), header.encode(), b"{}", b"{}", json.dumps(content).encode()]
    offsets = [8 * (len(parts) + 2)]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    return struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + b"".join(parts)


def sent_and_heard(person: Person, kernel: Kernel, protocol: str | None, message: Any) -> str:
    """All that comes back until the kernel has answered a question that is allowed, asked afterwards."""
    socket = websocket.create_connection(
        person.hub.url.replace("http", "ws") + f"{kernel.path}/channels?session_id={uuid.uuid4().hex}",
        cookie=person.cookie_header(kernel.path),
        origin=person.hub.url,
        subprotocols=[protocol] if protocol else None,
        timeout=20,
    )
    try:
        (socket.send_binary if isinstance(message, bytes) else socket.send)(message)
        ask = header_of("kernel_info_request")
        if protocol:
            socket.send_binary(framed("shell", json.dumps(ask), {}))
        else:
            told = {"channel": "shell", "header": ask, "parent_header": {}, "metadata": {}, "content": {}}
            socket.send(json.dumps(told))
        heard = ""
        while not (ask["msg_id"] in heard and "kernel_info_reply" in heard):
            try:
                received = socket.recv()
            except websocket.WebSocketConnectionClosedException:
                break  # an answer, too
            heard += received if isinstance(received, str) else received.decode("latin-1")
        return heard
    finally:
        socket.close()


def kernels(hub: RunningHub, name: str, id: str = "") -> list[int]:
    """The kernels that run under a person's account: all, or the one of `id`."""
    found = [process for process in hub.processes(hub.uid(name)) if "ipykernel_launcher" in command_of(process)]
    return [process.pid for process in found if any(id in word for word in command_of(process))]


def server_port(hub: RunningHub, name: str) -> int:
    for process in hub.processes(hub.uid(name)):
        for word in command_of(process):
            if word.startswith("--port="):
                return int(word.removeprefix("--port="))
    raise AssertionError(f"{name} has no dashboards")


def is_dark(colour: str) -> bool:
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3]) < 200
