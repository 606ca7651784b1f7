"""Jupyter's messages to the kernel of a dashboard: only those that a page needs may reach it, however they are sent."""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import websocket

from ..running import command_of, execute, header_of, wait_for
from .scene import Attempts, Scene

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

V1 = "v1.kernel.websocket.jupyter.org"
CHANNELS = ("shell", "control", "stdin", "iopub", "hb", "", None)
# https://jupyter-client.readthedocs.io/en/stable/messaging.html, and what ipykernel knows besides.
REQUESTS: dict[str, dict[str, Any]] = {
    "execute_request": execute("RUN"),
    "inspect_request": {"code": "ui", "cursor_pos": 2, "detail_level": 1},
    "complete_request": {"code": "open.", "cursor_pos": 5},
    "history_request": {"hist_access_type": "tail", "n": 100, "output": True, "raw": True},
    "is_complete_request": {"code": "1"},
    "connect_request": {},
    "usage_request": {},
    "create_subshell_request": {},
    "list_subshell_request": {},
    "delete_subshell_request": {"subshell_id": "x"},
    "debug_request": {"type": "request", "seq": 1, "command": "initialize", "arguments": {}},
    "debug_reply": {},
    "interrupt_request": {},
    "apply_request": {"bound": True},
    "clear_request": {},
    "abort_request": {"msg_ids": []},
    "input_reply": {"value": "RUN"},
    "input_request": {"prompt": "RUN"},
    "execute_reply": {"status": "ok"},
    "execute_result": {"data": {"text/html": "x"}, "metadata": {}, "execution_count": 1},
    "execute_input": {"code": "RUN", "execution_count": 1},
    "display_data": {"data": {"text/html": "x"}, "metadata": {}},
    "update_display_data": {"data": {"text/html": "x"}, "metadata": {}, "transient": {"display_id": "1"}},
    "stream": {"name": "stdout", "text": "x"},
    "error": {"ename": "x", "evalue": "x", "traceback": []},
    "status": {"execution_state": "dead"},
    "clear_output": {"wait": False},
    "debug_event": {},
    "iopub_welcome": {"subscription": ""},
    "EXECUTE_REQUEST": execute("RUN"),
    "execute_request ": execute("RUN"),
    "comm_msg\x00execute_request": execute("RUN"),
    "comm_open,execute_request": execute("RUN"),
    "do_execute": execute("RUN"),
    "__class__": {},
}


class Tapped:
    """The websocket of a kernel, on which anything can be sent, and everything is heard."""

    def __init__(self, scene: Scene, protocol: str | None) -> None:
        self._scene, self._protocol = scene, protocol
        self._path = scene.kernels["bob"].path
        self._connect()

    def _connect(self) -> None:
        hub, bob = self._scene.hub, self._scene.people["bob"]
        self.socket = websocket.create_connection(
            f"{hub.url.replace('http', 'ws')}{self._path}/channels",
            cookie=bob.cookie_header(self._path),
            origin=hub.url,
            subprotocols=[self._protocol] if self._protocol else None,
            timeout=15,
        )

    def send(self, raw: str | bytes) -> None:
        """Send it, whatever it does to the connection."""
        if isinstance(raw, bytes):
            self.socket.send_binary(raw)
        else:
            self.socket.send(raw)

    def heard(self) -> list[dict[str, Any]]:
        """All that was said until the kernel has done what it was sent before now."""
        said: list[dict[str, Any]] = []
        try:
            fences = set()
            for channel in ("shell", "control"):
                header = header_of("kernel_info_request")
                fences.add(header["msg_id"])
                self.send(_encode(self._protocol, channel, header, {}))
            while fences:
                said.append(_decode(self.socket.recv()))
                if said[-1]["content"].get("execution_state") == "idle":
                    fences.discard(said[-1]["parent_header"].get("msg_id"))
        except (websocket.WebSocketException, OSError):
            # The server hung up on what it could not read.
            self.socket.close()
            self._connect()
        return said


def _encode(protocol: str | None, channel: str | None, header: Any, content: Any) -> str | bytes:
    if protocol == V1:
        return _v1(channel or "", [_json(header), b"{}", b"{}", _json(content)])
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    if channel is not None:
        message["channel"] = channel
    return json.dumps(message)


def _json(value: Any) -> bytes:
    return value if isinstance(value, bytes) else json.dumps(value).encode()


def _v1(channel: str, parts: list[bytes]) -> bytes:
    """https://jupyter-server.readthedocs.io/en/stable/developers/websocket-protocols.html"""
    pieces = [channel.encode(), *parts]
    offsets = [8 * (len(pieces) + 2)]
    for piece in pieces:
        offsets.append(offsets[-1] + len(piece))
    return struct.pack("<Q", len(offsets)) + b"".join(struct.pack("<Q", at) for at in offsets) + b"".join(pieces)


def _legacy_binary(message: dict[str, Any], buffers: list[bytes]) -> bytes:
    pieces = [json.dumps(message).encode(), *buffers]
    offsets = [4 * (len(pieces) + 1)]
    for piece in pieces[:-1]:
        offsets.append(offsets[-1] + len(piece))
    return struct.pack(f"!{len(offsets) + 1}I", len(pieces), *offsets) + b"".join(pieces)


def _decode(raw: str | bytes) -> dict[str, Any]:
    if isinstance(raw, str):
        return dict(json.loads(raw))
    (count,) = struct.unpack_from("<Q", raw)
    if 5 < count < 100:
        offsets = struct.unpack_from(f"<{count}Q", raw, 8)
        header, parent, _, content = (json.loads(raw[offsets[at] : offsets[at + 1]]) for at in range(1, 5))
        return {"header": header, "parent_header": parent, "content": content, "msg_type": header["msg_type"]}
    _, at, end = struct.unpack_from("!3I", raw)
    return dict(json.loads(raw[at:end]))


def _trap(scene: Scene) -> tuple[Path, str]:
    """A file that appears where code is run, and the code."""
    file = scene.hub.state.home("bob") / f"ran-{uuid.uuid4().hex}"
    return file, f"open({str(file)!r}, 'w')"


def _with_code(content: dict[str, Any], code: str) -> dict[str, Any]:
    return {name: code if value == "RUN" else value for name, value in content.items()}


@pytest.mark.parametrize("protocol", [None, V1], ids=["legacy", "v1"])
def test_no_message_type_but_those_of_pages_reaches_the_kernel(
    scene: Scene, attempts: Attempts, protocol: str | None
) -> None:
    tapped, file_and_code = Tapped(scene, protocol), _trap(scene)
    file, code = file_and_code
    sent: dict[str, str] = {}
    for kind, content in REQUESTS.items():
        for channel in CHANNELS:
            header = header_of(kind)
            sent[header["msg_id"]] = f"{kind!r} on {channel!r}"
            tapped.send(_encode(protocol, channel, header, _with_code(content, code)))
            if protocol is None:
                message = {"channel": channel, "header": header, "parent_header": {}, "metadata": {}}
                tapped.send(_legacy_binary({**message, "content": _with_code(content, code)}, [b"x"]))
    heard = {message["parent_header"].get("msg_id"): message["msg_type"] for message in tapped.heard()}
    for sent_id, what in sent.items():
        attempts.add(f"{protocol or 'legacy'} {what}", heard.get(sent_id))
        if protocol is None:
            attempts.add(f"legacy binary {what}", heard.get(sent_id))
    attempts.add("code was run", file.exists())


Forgery = Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], str | bytes]


def _text(info: dict[str, Any], run: dict[str, Any], content: dict[str, Any], **more: Any) -> str:
    return json.dumps({"channel": "shell", "parent_header": {}, "metadata": {}, "content": content, **more})


def _twice(first: Any, second: Any) -> bytes:
    """An object that says its type twice."""
    return _json(first)[:-1] + b"," + _json({"msg_type": second["msg_type"]})[1:]


# How an order to run code might be dressed as something else: the headers of an innocent and of the order, the code.
FORGERIES: dict[str, Forgery] = {
    "outer type": lambda info, run, code: _text(info, run, code, header=info, msg_type="execute_request"),
    "outer id and type": lambda info, run, code: _text(
        info, run, code, header=info, msg_id=run["msg_id"], msg_type="execute_request"
    ),
    "parent is the order": lambda info, run, code: _text(info, run, code, header=info, parent_header=run),
    "metadata is the order": lambda info, run, code: _text(info, run, code, header=info, metadata=run),
    "header as text": lambda info, run, code: _text(info, run, code, header=json.dumps(run)),
    "header as a list": lambda info, run, code: _text(info, run, code, header=[run]),
    "type as a list": lambda info, run, code: _text(
        info, run, code, header={**run, "msg_type": ["comm_msg", "execute_request"]}
    ),
    "type as an object": lambda info, run, code: _text(info, run, code, header={**run, "msg_type": {"comm_msg": 1}}),
    "no type": lambda info, run, code: _text(
        info, run, code, header={k: v for k, v in run.items() if k != "msg_type"}, msg_type="execute_request"
    ),
    "no header": lambda info, run, code: _text(info, run, code, msg_type="execute_request", msg_id=run["msg_id"]),
    "header is nothing": lambda info, run, code: _text(info, run, code, header=None, msg_type="execute_request"),
    "header twice, order last": lambda info, run, code: (
        _text(info, run, code, header=info)[:-1] + f', "header": {json.dumps(run)}}}'
    ),
    "header twice, order first": lambda info, run, code: (
        '{"header": ' + json.dumps(run) + "," + _text(info, run, code, header=info)[1:]
    ),
    "type twice, order last": lambda info, run, code: _text(info, run, code, header=0).replace(
        '"header": 0', '"header": ' + _twice(info, run).decode()
    ),
    "type twice, order first": lambda info, run, code: _text(info, run, code, header=0).replace(
        '"header": 0', '"header": ' + _twice(run, info).decode()
    ),
    "type with an escape": lambda info, run, code: _text(info, run, code, header=run).replace(
        '"msg_type": "execute_request"', '"msg_typ\\u0065": "execute_request", "msg_type": "comm_info_request"'
    ),
    "channel twice": lambda info, run, code: _text(info, run, code, header=run)[:-1] + ', "channel": "control"}',
    "a list of messages": lambda info, run, code: json.dumps([json.loads(_text(info, run, code, header=run))]),
    "to a subshell": lambda info, run, code: _text(info, run, code, header={**run, "subshell_id": "1"}),
    "innocent to a subshell": lambda info, run, code: _text(info, run, code, header={**info, "subshell_id": "1"}),
    "content has a header": lambda info, run, code: _text(info, run, {**code, "header": run}, header=info),
    "binary": lambda info, run, code: _legacy_binary(json.loads(_text(info, run, code, header=run)), [b""]),
    "binary, innocent, order as buffer": lambda info, run, code: _legacy_binary(
        json.loads(_text(info, run, code, header=info)), [_json(run), b"{}", b"{}", _json(code)]
    ),
    "binary, broken": lambda info, run, code: b"\x00\x00\x00\x05" + _json(run),
    "text, broken": lambda info, run, code: _text(info, run, code, header=run)[:-2],
    "huge": lambda info, run, code: _text(info, run, {**code, "x": "y" * 3_000_000}, header=run),
}
FORGERIES_V1: dict[str, Forgery] = {
    "type twice, order last": lambda info, run, code: _v1("shell", [_twice(info, run), b"{}", b"{}", _json(code)]),
    "type twice, order first": lambda info, run, code: _v1("shell", [_twice(run, info), b"{}", b"{}", _json(code)]),
    "parent is the order": lambda info, run, code: _v1("shell", [_json(info), _json(run), b"{}", _json(code)]),
    "an order behind": lambda info, run, code: _v1(
        "shell", [_json(info), b"{}", b"{}", b"{}", b"<IDS|MSG>", b"", _json(run), b"{}", b"{}", _json(code)]
    ),
    "a delimiter before": lambda info, run, code: _v1(
        "shell", [b"<IDS|MSG>", b"", _json(run), b"{}", b"{}", _json(code)]
    ),
    "an innocent before": lambda info, run, code: _v1("shell", [_json(info), _json(run), b"{}", b"{}", _json(code)]),
    "header in UTF-16": lambda info, run, code: _v1(
        "shell", [json.dumps(run).encode("utf-16"), b"{}", b"{}", _json(code)]
    ),
    "header with a mark": lambda info, run, code: _v1("shell", [b"\xef\xbb\xbf" + _json(run), b"{}", b"{}", b"{}"]),
    "header is a list": lambda info, run, code: _v1("shell", [_json([run]), b"{}", b"{}", _json(code)]),
    "header is empty": lambda info, run, code: _v1("shell", [b"", b"{}", b"{}", _json(code)]),
    "too few parts": lambda info, run, code: _v1("shell", [_json(run)]),
    "two headers in one": lambda info, run, code: _v1(
        "shell", [_json(info) + b"\n" + _json(run), b"{}", b"{}", _json(code)]
    ),
    "offsets that overlap": lambda info, run, code: _overlapping(run, code),
    "offsets beyond": lambda info, run, code: struct.pack("<3Q", 2, 2**60, 2**62) + _json(run),
    "to a subshell": lambda info, run, code: _v1(
        "shell", [_json({**run, "subshell_id": "1"}), b"{}", b"{}", _json(code)]
    ),
    "as text": lambda info, run, code: _text(info, run, code, header=run),
    "channel with a slash": lambda info, run, code: _v1("shell/", [_json(run), b"{}", b"{}", _json(code)]),
    "shell and control": lambda info, run, code: _v1("shell\x00control", [_json(run), b"{}", b"{}", _json(code)]),
}


def _overlapping(run: dict[str, Any], code: dict[str, Any]) -> bytes:
    whole = bytearray(_v1("shell", [_json(run), b"{}", b"{}", _json(code)]))
    struct.pack_into("<Q", whole, 16, struct.unpack_from("<Q", whole, 8)[0])
    return bytes(whole)


@pytest.mark.parametrize("protocol", [None, V1], ids=["legacy", "v1"])
@pytest.mark.parametrize("innocent", ["kernel_info_request", "comm_info_request", "comm_msg"])
def test_an_order_to_run_code_cannot_be_dressed_as_another(
    scene: Scene, attempts: Attempts, protocol: str | None, innocent: str
) -> None:
    tapped = Tapped(scene, protocol)
    for what, forge in (FORGERIES_V1 if protocol else FORGERIES).items():
        file, code = _trap(scene)
        info, run = header_of(innocent), header_of("execute_request")
        tapped.send(forge(info, run, execute(code)))
        types = {message["msg_type"] for message in tapped.heard()}
        # What goes to a comm that is not there, the kernel complains of in a stream.
        forbidden = types & {"execute_input", "execute_reply", "execute_result", "error"}
        attempts.add(f"{protocol or 'legacy'} {what} beside {innocent}", forbidden or file.exists())


def test_a_kernel_can_be_used_by_its_page_after_all_that(scene: Scene) -> None:
    tapped = Tapped(scene, V1)
    assert {"kernel_info_reply"} <= {message["msg_type"] for message in tapped.heard()}


# What Jupyter Server has, and a server of dashboards must not have. `KERNEL` is a kernel's id.
REST = [
    ("POST", "api/kernels", {"name": "python3"}),
    ("GET", "api/kernels", None),
    ("POST", "api/kernels/KERNEL/restart", {}),
    ("POST", "api/kernels/KERNEL/interrupt", {}),
    ("GET", "api/sessions", None),
    ("POST", "api/sessions", {"path": "x.ipynb", "type": "notebook", "name": "x", "kernel": {"name": "python3"}}),
    ("GET", "api/contents", None),
    ("GET", "api/contents/chat.ipynb", None),
    ("PUT", "api/contents/evil.ipynb", {"type": "file", "format": "text", "content": "x"}),
    ("POST", "api/contents", {"type": "notebook"}),
    ("DELETE", "api/contents/chat.ipynb", None),
    ("POST", "api/terminals", {}),
    ("GET", "api/terminals", None),
    ("GET", "files/chat.ipynb", None),
    ("GET", "nbconvert/html/chat.ipynb", None),
    ("GET", "view/chat.ipynb", None),
    ("GET", "lab", None),
    ("GET", "tree", None),
    ("GET", "notebooks/chat.ipynb", None),
    ("GET", "edit/chat.ipynb", None),
    ("GET", "api/kernelspecs", None),
    ("GET", "api/config/x", None),
    ("PUT", "api/config/x", {"x": 1}),
    ("GET", "api/spec.yaml", None),
    ("POST", "api/shutdown", {}),
    ("GET", "api/nbconvert", None),
    ("GET", "api/security/csp-report", None),
    ("GET", "lab/api/settings", None),
    ("GET", "lab/api/workspaces", None),
    ("GET", "lsp/status", None),
    ("GET", "metrics", None),
    ("GET", "terminals/websocket/1", None),
    ("GET", "voila/tree", None),
    ("GET", "voila/api/contents/", None),
    ("GET", "voila/api/contents/chat.ipynb", None),
    ("GET", "voila/files/chat.ipynb", None),
    ("GET", "voila/execution/KERNEL", None),
    ("GET", "voila/query/KERNEL", None),
    ("GET", "voila/render/", None),
    ("GET", "voila/render/evil.ipynb", None),
    ("POST", "voila/render/chat.ipynb", {"preview": True}),
    ("POST", "voila/api/shutdown/", {}),
    ("GET", "login", None),
    ("POST", "login", {"password": ""}),
    ("GET", "static/x", None),
    ("GET", "kernelspecs/python3/logo-64x64.png", None),
]


def test_a_server_of_dashboards_is_no_jupyter_server(scene: Scene, attempts: Attempts) -> None:
    bob, kernel = scene.people["bob"], scene.kernels["bob"].id
    alive = _kernels(scene)
    for method, path, body in REST:
        answer = bob.ask(method, bob.root + path.replace("KERNEL", kernel), json=body)
        attempts.add(f"{method} {path}", answer.status_code < 400 and answer.status_code)
    attempts.add("a kernel was started or ended", _kernels(scene) != alive and "yes")


def _kernels(scene: Scene) -> int:
    """How many kernels Bob has, once those that are being heated are there."""
    uid = scene.hub.uid("bob")

    def count() -> int:
        return sum("ipykernel_launcher" in command_of(process) for process in scene.hub.processes(uid))

    wait_for(lambda: count() >= 1)
    return count()


SOCKETS = [
    "api/kernels/KERNEL/channels",
    "api/kernels/KERNEL/channels?session_id=x",
    "voila/query/KERNEL",
    "voila/execution/KERNEL",
    "llmws-query-x/voila/query/KERNEL",
    "terminals/websocket/1",
    "api/events/subscribe",
    "lsp/ws/python",
    "voila/livereload",
]


def test_a_websocket_is_for_its_person_and_its_page(scene: Scene, attempts: Attempts) -> None:
    """Nobody, another person, another page's origin, another kernel's id, a server's own token of somebody else."""
    own = scene.hub.url
    for victim in ("bob", "rita"):
        kernel = scene.kernels[victim].id
        mine = scene.people[victim].cookie_header(f"/user/{victim}/")
        rolf = scene.people["rolf"].cookie_header("/user/rolf/")
        guises: dict[str, dict[str, Any]] = {
            "nobody": {"origin": own},
            "rolf": {"cookie": rolf, "origin": own},
            "rolf's token": {"header": [f"Authorization: token {scene.tokens['rolf']}"], "origin": own},
            "ann's token": {"header": [f"Authorization: token {scene.tokens['ann']}"], "origin": own},
            "administrator's token": {"header": [f"Authorization: token {scene.tokens['ann/admin']}"], "origin": own},
            "a foreign page": {"cookie": mine, "origin": "http://evil.example"},
            "a foreign page, nearly": {"cookie": mine, "origin": f"{own}.evil.example"},
            "no origin at all": {"cookie": mine, "origin": "null"},
        }
        for guise, more in guises.items():
            for path in SOCKETS:
                for port in (scene.hub.port, scene.ports[victim]):
                    target = f"ws://127.0.0.1:{port}/user/{victim}/{path.replace('KERNEL', kernel)}"
                    attempts.add(f"{guise} at {target}", _opens(target, more))
        with_token = f"?token={scene.tokens['rolf']}"
        attempts.add("token in the address", _opens(f"{own.replace('http', 'ws')}/user/{victim}/{with_token}", {}))
    # Bob's own, but with the ids of kernels that are not his, and on paths that are for his kernels alone.
    for path in SOCKETS:
        for kernel in (scene.kernels["rita"].id, str(uuid.uuid4())):
            target = f"{own.replace('http', 'ws')}/user/bob/{path.replace('KERNEL', kernel)}"
            opened = _opens(target, {"cookie": scene.people["bob"].cookie_header("/user/bob/"), "origin": own})
            attempts.add(f"bob at {target}", opened)


def _opens(target: str, more: dict[str, Any]) -> str | None:
    """What was heard where the door opened, or that it did."""
    try:
        opened = websocket.create_connection(target, timeout=20, **more)
    except (websocket.WebSocketException, OSError):
        return None
    opened.close()
    return "open"
