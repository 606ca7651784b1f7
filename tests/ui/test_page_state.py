"""What the pages know by themselves, without a browser: what is asked twice, at once, or answered late."""

from __future__ import annotations

import pytest

from .test_comm import CHAT, played

# A browser as far as the state of a page looks at it: two kinds of storage, a place, a clipboard that says no.
BROWSER = """
const storage = () => {
  const kept = new Map();
  return {
    kept, getItem: (name) => kept.get(name) ?? null,
    setItem: (name, told) => kept.set(name, told), removeItem: (name) => kept.delete(name),
  };
};
globalThis.localStorage = storage();
globalThis.sessionStorage = storage();
globalThis.document = { addEventListener() {} };
globalThis.location = { pathname: "/lab" };
globalThis.CSS = { supports: () => true };
let number = 0;
const reply = ({ view, request }, value) => hear({ type: "reply", number: ++number, view, request, value });
const refuse = ({ view, request }, error) => hear({ type: "reply", number: ++number, view, request, error });
const asked = (intent) => sent.filter((one) => one.intent === intent);
const settled = () => new Promise((resolve) => setImmediate(resolve));
"""


def test_each_model_that_a_page_opens_a_chat_with_has_its_own() -> None:
    told = played(
        BROWSER,
        """
        const { Conversations } = await import("./conversations.js");
        const chat = { id: "c", running: null, updated_at: 1, pinned: false, archived: false, folder: "", tags: [] };
        const chats = { items: [], next_cursor: null, folders: [], tags: [] };
        const open = (wanted) => new Conversations({ ...model, get: (name) => (name === "model" ? wanted : "") });
        open("a");
        reply(sent.at(-1), { models: [], chats, chat: { chat, messages: [], next_cursor: null, calls: null } });
        for (const wanted of ["b", "a"]) open(wanted);
        tell(asked("start").map(({ values }) => values.chat));
        """,
    )
    assert told == [None, None, "c"]


@pytest.mark.parametrize(
    ("error", "may_go"),
    [
        ({}, True),
        ({"code": "service", "message": "The service does not answer."}, True),
        ({"code": "attachments_full", "message": "Your attachments have 9 of 9 MiB already."}, True),
        ({"code": "attachment_refused", "message": "report.pdf is a PDF document."}, False),
        ({"code": "attachment_large", "size": "9.1"}, False),
    ],
)
def test_a_file_is_tried_again_only_where_that_may_help(error: dict[str, str], may_go: bool) -> None:
    told = played(f'import {{ mayGo }} from "./attachments.js"; tell(mayGo({error!r}));')
    assert told is may_go


def test_a_call_that_was_denied_did_not_fail() -> None:
    told = played(
        CHAT,
        """
        const call = { id: "1", name: "launch" };
        const parts = [{ type: "tool_call", data: call }];
        const answer = { id: "a", message: { role: "assistant", finish_reason: "tool_calls", parts } };
        const result = { type: "tool_result", text: "No.", data: { id: "1", is_error: true, denied: true } };
        page.take(snapshot(answer, { id: "r", message: { role: "tool", parts: [result] } }));
        tell(page.tools.state(page.rows.value[0], call, false));
        """,
    )
    assert told == {"state": "done", "text": "No.", "error": True, "denied": True}


def test_what_the_page_of_providers_missed_it_asks_for_once() -> None:
    told = played(
        BROWSER,
        """
        const { Providers } = await import("./providers.js");
        const page = new Providers(model);
        const now = { providers: [{ id: "p" }], spend: [], limits: [] };
        const me = { actions: ["configure"] };
        reply(sent[0], { me, vendors: [], ...now, shown: { provider: { id: "p" }, models: [] } });
        number++;
        hear({ type: "limits", number: ++number, limits: [] });
        const lost = page.comm.lost;
        const pulses = [];
        for (let pulse = 0; pulse < 2; pulse++) {
          page.pulse();
          reply(asked("pulse").at(-1), now);
          pulses.push(asked("show").length);
        }
        tell({ lost, pulses, after: page.comm.lost });
        """,
    )
    assert told == {"lost": True, "pulses": [1, 1], "after": False}


def test_records_that_are_asked_for_twice_are_shown_once() -> None:
    told = played(
        CHAT,
        """
        const { transfer } = page;
        transfer.shown.value = { id: "i" };
        transfer.report("imported");
        reply(sent.at(-1), { items: [{ place: 1 }], next_cursor: "next" });
        transfer.report("imported", "next");
        transfer.report("imported", "next");
        const [first, second] = sent.slice(-2);
        for (const one of [first, second]) reply(one, { items: [{ place: 2 }], next_cursor: null });
        tell(transfer.records.value.map(({ place }) => place));
        """,
    )
    assert told == [1, 2]


def test_text_is_copied_also_where_the_clipboard_is_refused() -> None:
    told = played(
        """
        const copied = [];
        const area = { style: {}, focus() {}, select() {}, remove() {} };
        const focused = { closest: () => null, focus() {} };
        const clipboard = { writeText: () => Promise.reject(new Error("not allowed")) };
        globalThis.document = {
          activeElement: focused, body: { append() {} }, createElement: () => area,
          execCommand: (command) => copied.push([command, area.value]),
        };
        const { copyText } = await import("./page.js");
        for (const given of [undefined, clipboard]) {
          Object.defineProperty(globalThis, "navigator", { value: { clipboard: given }, configurable: true });
          await copyText("moons");
        }
        tell(copied);
        """,
    )
    assert told == [["copy", "moons"], ["copy", "moons"]]
