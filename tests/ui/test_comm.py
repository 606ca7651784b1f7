"""The browser's half of the comm, with nobody behind it: what it asks again, what it believes, how it finds back."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from .test_bundle import UI, node

# What a page sees of its widget; `hear` is a message from the kernel, `later` what shall happen after so many ms.
WIDGET = """
const sent = [], later = new Map(), widget_manager = {};
let hear;
globalThis.setTimeout = (happens, ms) => later.set(ms, happens);
const model = {
  widget_manager, get: () => "", off() {}, send: (asked) => sent.push(asked),
  on: (_, listen) => { hear = listen; },
};
const tell = (told) => console.log(JSON.stringify(told));
"""
COMM = """
import { connect } from "./page.js";
let gaps = 0;
const comm = connect(model, { gap: () => gaps++ });
"""
KERNEL = """
import { reach } from "./kernel.js";
const asked = [];
let now = 0, up = false, reconnected = 0;
performance.now = () => now;
globalThis.document = { cookie: "_xsrf=a%7Cb" };
globalThis.fetch = async (url, { headers }) => {
  asked.push([String(url), headers["X-XSRFToken"]]);
  return { ok: up };
};
const kernel = widget_manager.kernel = {
  id: "k", connectionStatus: "connecting", isDisposed: false, serverSettings: { baseUrl: "http://hub/user/rita/" },
  reconnect() { reconnected++; this.connectionStatus = "connected"; return Promise.reject(new Error("disconnected")); },
};
"""
CHAT = """
globalThis.document = { addEventListener() {} };
globalThis.location = { pathname: "/" };
globalThis.CSS = { supports: () => true };
globalThis.localStorage = globalThis.sessionStorage = { getItem: () => null, setItem() {}, removeItem() {} };
const { Conversations } = await import("./conversations.js");
const page = new Conversations(model);
let number = 0;
const reply = ({ view, request }, value, more) =>
  hear({ type: "reply", number: ++number, view, request, value, ...more });
const chat = { id: "c", running: null, updated_at: 1, pinned: false, archived: false, folder: "", tags: [] };
const snapshot = (...messages) => ({ chat, messages, next_cursor: null, calls: null });
const chats = { items: [chat], next_cursor: null, folders: [], tags: [] };
reply(sent[0], { models: [], chats, chat: snapshot() });
"""


def played(*scenes: str) -> Any:
    """What the last of the scenes tells."""
    command = [node(), "--input-type=module", "-e", "\n".join([WIDGET, *scenes])]
    done = subprocess.run(command, capture_output=True, text=True, cwd=UI / "src")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_where_something_is_missing_all_that_waits_is_asked_again_before_a_snapshot_is() -> None:
    told = played(
        COMM,
        """
        comm.call("say");
        comm.follow();
        hear({ type: "chat", number: 1 });
        const before = sent.length;
        hear({ type: "chat", number: 3 });
        tell({ before, sent: sent.map(({ request }) => request), gaps, lost: comm.lost });
        """,
    )
    assert told == {"before": 1, "sent": [1, 1], "gaps": 1, "lost": True}


def test_what_is_told_again_may_be_outdated_and_calls_for_a_snapshot() -> None:
    told = played(
        COMM,
        """
        comm.call("show", {}, () => comm.follow());
        const [{ view }] = sent;
        hear({ type: "reply", number: 1, view: "another", request: 1, repeated: true });
        const others = gaps;
        hear({ type: "reply", number: 2, view, request: 1, value: {}, repeated: true });
        const lost = comm.lost;
        comm.call("show", {}, () => comm.follow());
        hear({ type: "reply", number: 3, view, request: 2, value: {} });
        tell({ others, gaps, lost, after: comm.lost });
        """,
    )
    assert told == {"others": 0, "gaps": 1, "lost": True, "after": False}


def test_a_mistake_of_the_page_is_told_and_leaves_nobody_waiting() -> None:
    told = played(
        COMM,
        """
        console.error = () => {};
        const asked = comm.call("start", {}, (value) => value.no.thing);
        hear({ type: "reply", number: 1, view: sent[0].view, request: 1, value: {} });
        const problem = await asked.catch((error) => error);
        const next = comm.call("show");
        hear({ type: "reply", number: 2, view: sent[0].view, request: 2, value: "shown" });
        tell([problem.message, await next]);
        """,
    )
    assert told == ["The page made a mistake (TypeError).", "shown"]


def test_a_snapshot_is_not_taken_back_by_what_was_said_when_its_answer_began() -> None:
    told = played(
        CHAT,
        """
        page.send("Hi");
        await null;
        const said = sent.at(-1);
        const question = { id: "q", message: { role: "user" } };
        const answer = { id: "a", generation_id: "g", message: { role: "assistant" } };
        page.again();
        reply(sent.at(-1), snapshot(question, { ...answer, message: { role: "assistant", finish_reason: "stop" } }));
        reply(said, { chat: { ...chat, running: "g" }, items: [question, answer] }, { repeated: true });
        tell({ rows: page.rows.value.map(({ id }) => id), running: page.running.value, next: sent.at(-1).intent });
        """,
    )
    assert told == {"rows": ["q", "a"], "running": False, "next": "show"}


def test_who_waits_has_the_kernel_connected_again_once_the_server_answers() -> None:
    told = played(
        COMM,
        KERNEL,
        """
        comm.call("say");
        await later.get(2000)();
        await reach(kernel);
        const down = { asked: asked.length, reconnected };
        up = true;
        now += 3000;
        // Two pages of one notebook.
        await Promise.all([reach(kernel), reach(kernel)]);
        tell({ down, first: asked[0], asked: asked.length, reconnected });
        """,
    )
    first = ["http://hub/user/rita/api/kernels/k", "a|b"]
    assert told == {"down": {"asked": 1, "reconnected": 0}, "first": first, "asked": 2, "reconnected": 1}


def test_a_kernel_that_is_heard_or_gone_is_left_alone() -> None:
    told = played(
        KERNEL,
        """
        up = true;
        await reach(undefined);
        await reach({ ...kernel, connectionStatus: "connected" });
        await reach({ ...kernel, isDisposed: true });
        await reach({ id: "of another program" });
        tell({ asked, reconnected });
        """,
    )
    assert told == {"asked": [], "reconnected": 0}
