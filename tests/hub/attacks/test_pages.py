"""Widget messages to a dashboard's page: from a browser that does as it likes, to intents, traits and comms."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import websocket

from llmws.ui.chats import Chat
from llmws.ui.compare import Compare
from llmws.ui.finetune import FineTune
from llmws.ui.page import Intent

from ..running import Kernel, header_of
from .scene import Attempts, Scene

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

PAGES = {"chat": Chat, "compare": Compare, "finetune": FineTune}
# Fewer than a page answers at the same time.
AT_ONCE = 16
SECRET_NAMES = ("JUPYTERHUB_API_TOKEN", "LLMWS_TOKEN", "Authorization", "token")


class Comms:
    """The comms of a kernel, as the page's script has them, and as it should not."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._kernel.socket.settimeout(4)
        self.states: dict[str, Any] = {}
        self.states = self.read_states()
        self.page = next(known for known, state in self.states.items() if state["state"].get("_esm"))

    def send(self, type: str, content: dict[str, Any], metadata: dict[str, Any] | None = None, **more: Any) -> None:
        message = {"channel": "shell", "header": header_of(type), "parent_header": {}, "metadata": metadata or {}}
        self._kernel.socket.send(json.dumps({**message, "content": content, **more}))

    def tell(self, data: dict[str, Any], comm: str = "") -> None:
        """A message to the page's widget, or to another comm."""
        self.send("comm_msg", {"comm_id": comm or self.page, "data": data})

    def ask(self, content: Any) -> None:
        """A custom message to the page, which is how its script asks for something."""
        self.tell({"method": "custom", "content": content})

    def heard(self) -> list[dict[str, Any]]:
        """All that was said until the page has dealt with what it was sent before now."""
        said: list[dict[str, Any]] = []
        self._replies_to("fence", "pulse", [{}], said)
        return said

    def answer(self, wanted: str, values: Any) -> dict[str, Any]:
        """What the page replies to an intent."""
        return self.answers(wanted, [values])[0]

    def answers(self, wanted: str, tried: Sequence[Any]) -> list[dict[str, Any]]:
        """What it replies to each of these, asked at once: a reply is on its way for longer than it takes to make."""
        return self._replies_to("v", wanted, tried, [])

    def replies(self) -> list[Any]:
        """What the page said meanwhile, in custom messages; a slow one answers an earlier fence twice."""
        told = [content for message in self.heard() if isinstance(content := _custom(message), dict) and content]
        return [content for content in told if content.get("view") != "fence"]

    def read_states(self) -> dict[str, Any]:
        """Each widget's traits: whoever reaches the kernel can read them."""
        control = uuid.uuid4().hex
        opened = {"comm_id": control, "target_name": "jupyter.widget.control", "data": {}}
        self.send("comm_open", opened, {"version": "1.0.0"})

        def ask() -> None:
            self.send("comm_msg", {"comm_id": control, "data": {"method": "request_states"}})

        found = self._wait_for(ask, lambda told: _data(told).get("method") == "update_states", [])
        return dict(_data(found)["states"])

    def _replies_to(
        self, view: str, wanted: str, tried: Sequence[Any], said: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        asked = {uuid.uuid4().int % 10**9: values for values in tried}
        replies: dict[int, dict[str, Any]] = {}

        def ask() -> None:
            for request in asked.keys() - replies.keys():
                self.ask({"intent": wanted, "view": view, "request": request, "values": asked[request]})

        def is_last(message: dict[str, Any]) -> bool:
            content = _custom(message)
            if isinstance(content, dict) and content.get("view") == view and content.get("request") in asked:
                replies[content["request"]] = content
            return len(replies) == len(asked)

        self._wait_for(ask, is_last, said)
        return [replies[request] for request in asked]

    def _wait_for(
        self, ask: Callable[[], None], is_it: Callable[[dict[str, Any]], bool], said: list[dict[str, Any]]
    ) -> dict[str, Any]:
        """Ask until it comes: Jupyter drops what a kernel says when that is much at once."""
        for _ in range(8):
            ask()
            with contextlib.suppress(websocket.WebSocketTimeoutException):
                while not is_it(message := json.loads(self._received())):
                    said.append(message)
                return message
        raise AssertionError("The page says nothing more.")

    def _received(self) -> str:
        raw = self._kernel.socket.recv()
        if isinstance(raw, bytes):
            # Behind the message are its buffers.
            ends = [int.from_bytes(raw[4 * at : 4 * at + 4], "big") for at in range(3)]
            return raw[ends[1] : ends[2] if ends[0] > 1 else None].decode()
        return raw


def _data(message: dict[str, Any]) -> dict[str, Any]:
    data = message["content"].get("data")
    return data if isinstance(data, dict) else {}


def _custom(message: dict[str, Any]) -> Any:
    return _data(message).get("content") if message["msg_type"] == "comm_msg" else None


@pytest.fixture(scope="module", params=sorted(PAGES))
def page(scene: Scene, request: pytest.FixtureRequest) -> Iterator[tuple[str, Comms]]:
    """A dashboard of Bob's, ready."""
    kernel = scene.people["bob"].open_dashboard(request.param)
    comms = Comms(kernel)
    comms.heard()
    yield request.param, comms
    kernel.socket.close()
    scene.people["bob"].ask("DELETE", kernel.path)


def test_no_trait_holds_a_secret(scene: Scene, attempts: Attempts, page: tuple[str, Comms]) -> None:
    name, comms = page
    for widget, state in comms.states.items():
        told = json.dumps({trait: value for trait, value in state["state"].items() if trait not in ("_esm", "_css")})
        attempts.add(f"{name}: a widget ({widget}) shows a token", any(secret in told for secret in scene.secrets))
        for word in SECRET_NAMES:
            attempts.add(f"{name}: a widget ({widget}) shows {word}", word in told and told[:200])
    whole = json.dumps(comms.states)
    attempts.add(f"{name}: a secret anywhere", any(secret in whole for secret in scene.secrets))


# Names that are no intents, though the object has them, or a careless lookup would find them.
NO_INTENTS = ("__init__", "__class__", "__init_subclass__", "__del__", "_receive", "_dispatch", "_answer", "_refuse")
NO_INTENTS += (
    "tell",
    "spawn",
    "close",
    "send",
    "open",
    "set_trait",
    "set_state",
    "client",
    "_api",
    "intents",
    "observe",
)
NO_INTENTS += (
    "add_traits",
    "close_all",
    "start.__func__",
    "start.__globals__",
    "",
    " start",
    "START",
    "start\x00",
    "0",
)
NO_INTENTS += (
    "administer",
    "shutdown",
    "set_key",
    "tokens",
    "admin",
    "import",
    "eval",
    "exec",
    "approve",
    "grant",
    "share",
)
NOT_NAMES: tuple[Any, ...] = (None, True, 0, 1.5, [], ["start"], {}, {"start": 1}, "start " * 1000)


def test_only_intents_are_called(scene: Scene, attempts: Attempts, page: tuple[str, Comms]) -> None:
    name, comms = page
    for number, wanted in enumerate((*NO_INTENTS, *NOT_NAMES)):
        for values in ({}, {"code": "1"}, {"self": 1}, None, []):
            comms.ask({"intent": wanted, "view": "v", "request": number, "values": values})
    replies = comms.replies()
    done = [reply for reply in replies if "error" not in reply and reply.get("view") == "v"]
    for wanted in (*NO_INTENTS, *NOT_NAMES):
        attempts.add(f"{name}: intent {wanted!r}"[:80], "")
    attempts.add(f"{name}: was done", done)
    assert len([reply for reply in replies if "error" in reply]) == 5 * len((*NO_INTENTS, *NOT_NAMES))


# What is of the right type, and about nothing but one's own.
OF_ONES_OWN: dict[str, list[Any]] = {"pictures": [{"ids": []}, {"ids": ["x"]}], "titles": [{"wanted": True}]}


def _forged(wanted: str, intent: Intent, thing: Any) -> Iterator[Any]:
    """Values for an intent with `thing` in them, in each place where it has no business."""
    for values in (dict.fromkeys(intent.types, thing), {"self": thing}, {"view": thing}, {"unknown": thing}, thing):
        if values == {} and not intent.required:
            continue
        if values in ({}, None) or (
            isinstance(values, dict) and set(values) <= set(intent.types) and thing in ("", "../..")
        ):
            continue  # text where text is wanted: that is what the ids below try
        if wanted not in OF_ONES_OWN or values not in OF_ONES_OWN[wanted]:
            yield values


def test_an_intent_takes_nothing_but_what_it_says(scene: Scene, attempts: Attempts, page: tuple[str, Comms]) -> None:
    """Each of the page's intents with each kind of nonsense; none may be done, and none may break the page."""
    name, comms = page
    deep: Any = "x"
    for _ in range(500):
        deep = [deep]
    nonsense = [
        None,
        0,
        -1,
        True,
        1e308,
        "",
        [],
        {},
        ["x"],
        {"x": {}},
        deep,
        "x" * 400_000,
        "\x00",
        "../..",
        "%00",
    ]
    for wanted, intent in sorted(PAGES[name].intents.items()):
        forged = [(thing, values) for thing in nonsense for values in _forged(wanted, intent, thing)]
        for begin in range(0, len(forged), AT_ONCE):
            tried = forged[begin : begin + AT_ONCE]
            answers = comms.answers(wanted, [values for _, values in tried])
            for (thing, values), told in zip(tried, answers, strict=True):
                done = "value" in told and not isinstance(thing, str | None)
                shown = scene.shows_secrets(json.dumps(told), ["rita"])
                attempts.add(f"{name}: {wanted} with {str(values)[:60]}", done or shown)
    assert "value" in comms.answer("start", {})


ENVELOPES: tuple[Any, ...] = (
    None,
    True,
    7,
    "start",
    [],
    [{"intent": "start"}],
    {},
    {"intent": "start"},
    {"intent": "start", "view": "", "request": 1},
    {"intent": "start", "view": "x" * 65, "request": 1},
    {"intent": "start", "view": ["x"], "request": 1},
    {"intent": "start", "view": "x", "request": True},
    {"intent": "start", "view": "x", "request": "1"},
    {"intent": "start", "view": "x", "request": 1.0},
    {"intent": "start", "view": "x", "request": None},
    {"kind": "anywidget-command", "id": "1", "name": "connect", "msg": {}},
    {"kind": "anywidget-command", "id": "1", "name": "close", "msg": {}},
    {"kind": "anywidget-command", "id": "1", "name": "__init__", "msg": None},
    {"event": "click"},
    {"type": "reply", "view": "x", "request": 1, "value": "forged"},
    {"intent": "start", "view": "x", "request": 1, "values": {}, "x": "y" * 2_100_000},
)


def test_a_message_that_is_none_of_ours_does_nothing(scene: Scene, attempts: Attempts, page: tuple[str, Comms]) -> None:
    name, comms = page
    for envelope in ENVELOPES:
        comms.ask(envelope)
        done = [reply for reply in comms.replies() if isinstance(reply, dict) and "value" in reply]
        attempts.add(f"{name}: {str(envelope)[:80]}", done)


OF_OTHERS: dict[str, list[dict[str, Any]]] = {
    "chat": [
        {"intent": "show", "id": "CHAT"},
        {"intent": "earlier", "id": "CHAT", "cursor": "x"},
        {"intent": "say", "chat": "CHAT", "text": "x", "key": "k"},
        {"intent": "change", "id": "CHAT", "title": "x"},
        {"intent": "delete", "id": "CHAT"},
        {"intent": "restore", "id": "CHAT"},
        {"intent": "stop", "generation": "GENERATION"},
        {"intent": "download", "id": "CHAT", "format": "json"},
        {"intent": "download", "id": "CHAT", "format": "../../api/chats"},
        {"intent": "show", "id": "../chats/CHAT"},
        {"intent": "show", "id": "CHAT/messages"},
        {"intent": "show", "id": "CHAT?x=1"},
        {"intent": "show", "id": "CHAT#"},
        {"intent": "show", "id": "../../../../hub/api/users"},
        {"intent": "show", "id": "..%2f..%2fapi%2fstatus"},
        {"intent": "delete", "id": "../shutdown"},
        {"intent": "stop", "generation": "../shutdown?"},
        {"intent": "say", "text": "x", "key": "k", "model": "seafarer-of-rita"},
    ],
    "compare": [
        {"intent": "show", "id": "CHAT"},
        {"intent": "stop", "generation": "GENERATION"},
        {"intent": "stop_all", "id": "CHAT"},
        {"intent": "stop_all", "id": "../shutdown?"},
        {"intent": "more", "cursor": "x"},
        {"intent": "show", "id": "../chats/CHAT"},
    ],
    "finetune": [
        # What a business user may not do, whether or not the page shows a button for it.
        {"intent": "begin", "dataset": "seafarer", "base": "smollm2-135m-instruct", "recipe": {}, "key": "k"},
        {"intent": "stop", "id": "CHAT"},
        {"intent": "resume", "id": "CHAT"},
        {"intent": "serve", "id": "CHAT"},
        {"intent": "delete", "id": "CHAT"},
        {"intent": "restore", "id": "CHAT"},
        {"intent": "show", "id": "CHAT"},
        {"intent": "show", "id": "../chats/CHAT"},
        {"intent": "delete", "id": "../chats/CHAT"},
    ],
}


def test_a_page_does_nothing_to_what_is_another_s(scene: Scene, attempts: Attempts, page: tuple[str, Comms]) -> None:
    name, comms = page
    for order in OF_OTHERS[name]:
        told = json.dumps(order).replace("CHAT", scene.things["chat"]).replace("GENERATION", scene.things["generation"])
        values = json.loads(told)
        wanted = values.pop("intent")
        reply = comms.answer(wanted, values)
        attempts.add(f"{name}: {told} shows something", scene.shows_secrets(json.dumps(reply), ["rita", "ann", "rolf"]))
        attempts.add(f"{name}: {told} is done", reply.get("value"))
    with scene.service(scene.tokens["rita"]) as api:
        chat = api.get(f"/api/chats/{scene.things['chat']}").raise_for_status().json()
        assert chat["title"] != "x"
        assert api.get("/healthz").is_success


def test_a_page_does_not_act_by_what_a_browser_sets(scene: Scene, attempts: Attempts, page: tuple[str, Comms]) -> None:
    """A browser may set any trait that it is shown, ipywidgets asks no `read_only`: hints about looks, nothing else."""
    name, comms = page
    forged: dict[str, list[Any]] = {
        "language": ["xx", 1, None, "<script>"],
        "theme": ["planted", [], "<script>"],
        "client": ["x"],
        "_api": ["x"],
        "chat_id": [scene.things["chat"]],
        "job_id": [scene.things["chat"]],
        "intents": [{}],
        "_tasks": [[]],
        "_runs": ["x"],
        "keys": [["client"]],
        "__class__": ["x"],
    }
    before = comms.read_states()[comms.page]["state"]
    for trait, values in forged.items():
        for value in values:
            comms.tell({"method": "update", "state": {trait: value}, "buffer_paths": []})
            comms.tell({"method": "update", "state": {trait: value}, "buffer_paths": [[trait]]})
    comms.heard()
    after = comms.read_states()[comms.page]["state"]
    for trait in forged:
        attempts.add(f"{name}: {trait} was set", after.get(trait) != before.get(trait) and after.get(trait))
    reply = comms.answer("start", {})
    attempts.add(f"{name}: acts as another", scene.shows_secrets(json.dumps(reply), ["rita", "ann"]))
    assert "value" in reply


def test_a_browser_makes_nothing_that_acts(scene: Scene, attempts: Attempts, page: tuple[str, Comms]) -> None:
    """It may make widgets in its own kernel, as on every page of ipywidgets; none of them is a page or runs code."""
    name, comms = page
    made: dict[str, str] = {}
    pages = [("anywidget", "AnyModel", "AnyView"), ("llmws.ui.chats", "Chat", "Chat"), ("builtins", "eval", "eval")]
    pages += [("@jupyter-widgets/output", "OutputModel", "OutputView"), ("os", "system", "system"), ("x", "x", "x")]
    for module, model, view in pages:
        opened_as = uuid.uuid4().hex
        state = {"_model_module": module, "_model_name": model, "_view_module": module, "_view_name": view}
        versions = {"_model_module_version": "*", "_view_module_version": "*"}
        opened = {
            "comm_id": opened_as,
            "target_name": "jupyter.widget",
            "data": {"state": {**state, **versions}, "buffer_paths": []},
        }
        comms.send("comm_open", opened, {"version": "2.1.0"})
        made[opened_as] = f"{module}.{model}"
    targets = (
        "os.system",
        "builtins.exec",
        "llmws",
        "jupyter.widget.version",
        "execute",
        "__main__",
        "",
        "ipython",
        "debug",
    )
    for target in targets:
        opened_as = uuid.uuid4().hex
        comms.send(
            "comm_open", {"comm_id": opened_as, "target_name": target, "target_module": "os", "data": {"code": "1"}}
        )
        comms.send("comm_msg", {"comm_id": opened_as, "data": {"method": "custom", "content": {"code": "1"}}})
    for comm in (str(uuid.uuid4()), "", "x", scene.things["chat"]):
        for data in ({}, {"method": "update", "state": {}}, {"method": "custom", "content": {}}, {"method": "x"}):
            comms.tell(data, comm or "nowhere")
    replies = comms.heard()
    states = comms.read_states()
    for opened_as, what in made.items():
        state = states.get(opened_as, {}).get("state", {})
        is_page = state and (state.get("_esm") or not what.startswith("@jupyter-widgets/"))
        attempts.add(f"{name}: a browser made {what}", is_page)
    for target in targets:
        attempts.add(f"{name}: comm to {target}", any(m["msg_type"] == "execute_input" for m in replies))
    attempts.add(f"{name}: a secret was told", scene.shows_secrets(json.dumps(replies), ["rita", "bob"]))
