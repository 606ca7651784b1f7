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
globalThis.document = { addEventListener() {}, removeEventListener() {} };
globalThis.location = { pathname: "/lab" };
globalThis.CSS = { supports: () => true };
const leaving = [];
globalThis.addEventListener = (_, happens) => leaving.push(happens);
globalThis.removeEventListener = () => {};
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


def test_each_assistant_that_a_page_opens_a_chat_with_has_its_own_draft() -> None:
    told = played(
        BROWSER,
        """
        const { Conversations } = await import("./conversations.js");
        const open = (told) => new Conversations({ ...model, get: (name) => told[name] ?? "" }).name;
        tell([{ model: "a" }, { model: "a", assistant: "b" }, { model: "b" }, { assistant: "b" }, {}].map(open));
        """,
    )
    assert len(set(told)) == 5


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


def test_who_reads_far_above_stays_there_when_something_is_said_elsewhere() -> None:
    told = played(
        CHAT,
        """
        const item = (id) => ({ id, message: { role: "user", parts: [] }, siblings: [id] });
        const shown = () => [page.rows.value.map(({ id }) => id).join(""), page.earlier.value];
        const items = (...ids) => ({ ...snapshot(...ids.map(item)), next_cursor: ids[0] });
        page.take(items("c", "d"));
        page.showEarlier(2);
        reply(sent.at(-1), items("a", "b"));
        page.take(items("d", "e"));
        const more = shown();
        page.take(items("x", "y"));
        tell({ more, other: shown() });
        """,
    )
    assert told["more"] == ["abcde", "a"]
    # Another branch, or so much that what comes between is not known.
    assert told["other"] == ["xy", "x"]


def test_what_could_not_be_sent_stands_once_also_above_what_was() -> None:
    told = played(
        CHAT,
        """
        const { newRow } = await import("./rows.js");
        const item = (id) => ({ id, message: { role: "user", parts: [] }, siblings: [id] });
        page.take(snapshot(item("a")));
        const [row] = page.rows.value;
        page.rows.value = [newRow({ message: { role: "user" } }), row];
        page.take(snapshot(item("a"), item("b")));
        tell(page.rows.value.map(({ id }) => id));
        """,
    )
    assert told == ["a", "b", None]


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


def test_an_outcome_is_shown_with_its_records_and_not_before() -> None:
    told = played(
        CHAT,
        """
        const { transfer } = page;
        transfer.shown.value = { id: "i" };
        transfer.report("refused");
        const before = transfer.outcome.value;
        reply(sent.at(-1), { items: [{ place: 1 }], next_cursor: null });
        const then = transfer.outcome.value;
        transfer.report("imported");
        transfer.again();
        reply(sent.at(-1), { items: [{ place: 2 }], next_cursor: null });
        tell([before, then, transfer.outcome.value]);
        """,
    )
    assert told == [None, "refused", None]


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


def test_what_was_read_before_a_question_takes_nothing_back() -> None:
    told = played(
        CHAT,
        """
        page.pulse();
        const pulse = sent.at(-1);
        page.send("Hi");
        await page.changes.kept;
        const question = { id: "q", message: { role: "user" } };
        const answer = { id: "a", generation_id: "g", message: { role: "assistant" } };
        reply(sent.at(-1), { chat: { ...chat, running: "g" }, items: [question, answer] });
        reply(pulse, { models: [], chats });
        const before = [page.open.value.running, page.library.find("c").running];
        page.pulse();
        reply(sent.at(-1), { models: [], chats });
        tell({ before, after: [page.open.value.running, page.library.find("c").running] });
        """,
    )
    assert told == {"before": ["g", "g"], "after": [None, None]}


def test_what_a_conversation_came_to_is_read_also_where_more_was_told_since() -> None:
    told = played(
        CHAT,
        """
        page.take(snapshot());
        const asked = performance.now();
        page.know({ ...chat, title: "Moons", totals: { old: 1 }, context: {} });
        const { title, totals } = page.latest({ ...chat, title: "", totals: { old: 0 }, context: {} }, asked);
        tell({ title, totals });
        """,
    )
    assert told == {"title": "Moons", "totals": {"old": 0}}


# A compare page that shows what was asked earlier: `models` are asked next.
COMPARED = """
const { Comparisons } = await import("./comparisons.js");
const page = new Comparisons({ ...model, get: () => [] });
const about = { id: "1", prompt: "Moons?", models: ["a", "b"], created_at: 1 };
const items = about.models.map((model) => ({ model, generation_id: model, message: { finish_reason: "stop" } }));
const earlier = { items: [{ ...about, id: "2", models: ["b", "a"], created_at: 2 }], next_cursor: "3" };
reply(sent[0], { models: [], earlier, comparison: { ...about, items } });
"""


def test_the_models_that_were_chosen_stay_when_a_comparison_is_told_again() -> None:
    told = played(
        BROWSER,
        COMPARED,
        """
        const chosen = () => [...page.chosen.value];
        const first = chosen();
        page.add("c");
        page.again();
        reply(sent.at(-1), { comparison: { ...about, items } });
        const again = chosen();
        page.show("2");
        reply(sent.at(-1), { comparison: { ...about, id: "2", models: ["b", "a"], items } });
        tell({ first, again, other: chosen(), listed: page.earlier.value.map(({ id }) => id) });
        """,
    )
    assert told == {"first": ["a", "b"], "again": ["a", "b", "c"], "other": ["b", "a"], "listed": ["2", "1"]}


def test_a_comparison_that_was_stopped_before_it_began_is_stopped() -> None:
    told = played(
        BROWSER,
        COMPARED,
        """
        page.send("And stars?");
        const ask = sent.at(-1);
        page.stopAll();
        const early = asked("stop_all").length;
        reply(ask, { comparison: { ...about, id: "3", items: [] } });
        tell({ early, stopped: asked("stop_all").map(({ values }) => values.id) });
        """,
    )
    assert told == {"early": 0, "stopped": ["3"]}


def test_what_is_kept_of_one_assistant_does_not_close_the_form_of_another() -> None:
    told = played(
        CHAT,
        """
        const { assistants } = page;
        const form = { name: "Poet", description: "", model: "a", system: "", parameters: {} };
        assistants.edit({ ...form, id: "1" });
        const saved = assistants.save(assistants.editing.value);
        const save = sent.at(-1);
        assistants.edit({ ...form, id: "2" });
        reply(save, { ...form, id: "1" });
        await saved;
        tell(assistants.editing.value.id);
        """,
    )
    assert told == "2"


def test_tags_are_put_to_what_a_conversation_has_by_now_also_where_it_left_the_list() -> None:
    told = played(
        CHAT,
        """
        page.library.sought.value = null;
        page.know({ ...chat, archived: true, tags: ["sea"] });
        tell({ listed: page.library.find("c"), tags: page.library.now(chat).tags });
        """,
    )
    assert told == {"listed": None, "tags": ["sea"]}


# A page of providers that shows one with three models.
PROVIDERS = """
const { Providers } = await import("./providers.js");
const page = new Providers(model);
const provider = { id: "p", name: "p", only: [] };
const models = ["a", "b", "c"].map((name) => ({ id: `p/${name}`, offered: true }));
const now = { providers: [provider], spend: [], limits: [] };
reply(sent[0], { me: { actions: ["configure"] }, vendors: [], ...now, shown: { provider, models } });
const ids = () => page.providers.value.map(({ id, name }) => `${id} ${name}`);
"""
# A service that keeps what is offered.
OFFERS = (
    PROVIDERS
    + """
const offers = () => asked("offer").map(({ values }) => values.only);
const keep = () => {
  const { only } = asked("offer").at(-1).values;
  const told = models.map((one) => ({ ...one, offered: !only.length || only.includes(one.id.slice(2)) }));
  reply(asked("offer").at(-1), { provider: { ...provider, only }, models: told });
  return settled();
};
const hide = async (at) => {
  page.offer(provider, models[at], false);
  await settled();
  await keep();
  await settled();
  return page.toasts.value.at(-1);
};
"""
)


def test_two_models_that_are_hidden_at_once_are_both_hidden() -> None:
    told = played(
        BROWSER,
        OFFERS,
        """
        page.offer(provider, models[0], false);
        page.offer(provider, models[1], false);
        await settled();
        await keep();
        await keep();
        tell(offers());
        """,
    )
    assert told == [["b", "c"], ["c"]]


def test_a_model_that_is_taken_back_leaves_the_others_hidden() -> None:
    told = played(
        BROWSER,
        OFFERS,
        """
        const undone = async (toast) => {
          toast.act();
          await settled();
          await keep();
          return offers().at(-1);
        };
        const [first, second] = [await hide(0), await hide(1)];
        const oldestFirst = [await undone(first), await undone(second)];
        const [third, fourth] = [await hide(0), await hide(1)];
        const newestFirst = [await undone(fourth), await undone(third)];
        const [fifth] = [await hide(0), await hide(1)];
        page.leave();
        tell({ oldestFirst, newestFirst, elsewhere: await undone(fifth) });
        """,
    )
    assert told == {"oldestFirst": [["a", "c"], []], "newestFirst": [["b", "c"], []], "elsewhere": ["c", "a"]}


def test_a_mistake_in_one_change_of_a_provider_holds_up_no_other() -> None:
    told = played(
        BROWSER,
        OFFERS,
        """
        page.attempt = () => Promise.reject(new Error("A mistake."));
        const failed = [page.change(provider, { enabled: false }), page.sync(provider)];
        await Promise.allSettled(failed);
        delete page.attempt;
        page.change(provider, { enabled: true });
        await settled();
        tell({ changes: asked("change").length, busy: [...page.busy.value] });
        """,
    )
    assert told == {"changes": 1, "busy": []}


def test_python_knows_which_provider_is_shown_also_where_another_was_added_meanwhile() -> None:
    told = played(
        BROWSER,
        OFFERS,
        """
        page.added({ shown: { provider: { id: "q", name: "q" }, models: [] }, warnings: [] }, false);
        tell([page.openId.value, asked("show").at(-1)?.values.id ?? null]);
        """,
    )
    assert told == ["p", "p"]


# A fine-tune page with one run, which is not shown: the form is.
RUNS = """
const { FineTunes } = await import("./finetunes.js");
const job = { id: "1", created_at: 1, ended_at: 1, name: "first", intent: "run", resumable: true };
const jobs = { items: [job], next_cursor: null };
const form = { datasets: [{ name: "d" }], bases: [{ id: "b" }], fields: [], presets: [{ name: "quick", recipe: {} }] };
const run = { job: { ...job, id: "2" }, figures: {}, history: [], points: [], log: "", serving: false };
const open = () => {
  const page = new FineTunes(model);
  reply(sent.at(-1), { form, jobs, environment: null, run: null });
  return page;
};
const page = open();
const seen = () => page.jobs.value.find(({ id }) => id === "1");
"""


def test_a_run_that_cannot_begin_is_told_to_who_went_elsewhere() -> None:
    told = played(
        BROWSER,
        RUNS,
        """
        const begin = async (meanwhile) => {
          page.begin();
          meanwhile();
          refuse(asked("begin").at(-1), { code: "dataset", message: "It is empty." });
          await settled();
          return [page.refusal("dataset"), page.toasts.value.map(({ text }) => text)];
        };
        tell([await begin(() => {}), await begin(() => page.show("1"))]);
        """,
    )
    assert told[0] == ["It is empty.", []]
    assert told[1][1] == ["It is empty."]


def test_a_run_that_is_about_to_stop_or_go_on_is_shown_so_until_that_is_known() -> None:
    told = played(
        BROWSER,
        RUNS,
        """
        const pulsed = () => {
          page.pulse();
          reply(asked("pulse").at(-1), { environment: null, jobs });
          const { intent, resumable } = seen();
          return [intent, resumable];
        };
        const all = {};
        for (const name of ["stop", "resume"]) {
          page[name](job);
          const during = pulsed();
          refuse(asked(name).at(-1), { code: "conflict", message: "It cannot." });
          await settled();
          all[name] = [during, [seen().intent, seen().resumable]];
        }
        page.stop(job);
        hear({ type: "job", number: ++number, job: { ...job, name: "told since" } });
        refuse(asked("stop").at(-1), { code: "conflict", message: "It cannot." });
        await settled();
        tell({ ...all, since: seen().name });
        """,
    )
    assert told == {
        "stop": [["stop", True], ["run", True]],
        "resume": [["run", False], ["run", True]],
        "since": "told since",
    }


def test_a_recipe_that_was_begun_is_not_offered_again_to_the_view_that_comes_next() -> None:
    told = played(
        BROWSER,
        RUNS,
        """
        const left = (page) => {
          page.close();
          return open().draft.value.values.max_steps ?? null;
        };
        page.set("max_steps", 12);
        const before = left(page);
        const next = open();
        next.set("max_steps", 12);
        next.begin();
        reply(asked("begin").at(-1), { run });
        tell({ before, after: left(next) });
        """,
    )
    assert told == {"before": 12, "after": None}


def test_a_change_of_a_conversation_that_was_deleted_holds_up_no_question() -> None:
    told = played(
        CHAT,
        """
        const settled = () => new Promise((resolve) => setImmediate(resolve));
        page.forget("c");
        page.library.place(chat, { archived: false });
        await settled();
        const { view, request } = sent.at(-1);
        hear({ type: "reply", number: ++number, view, request, error: { code: "not_found", message: "It is gone." } });
        page.send("Hi");
        await settled();
        tell({ last: sent.at(-1).intent, failed: page.rows.value.map((row) => row.message.value.error ?? null) });
        """,
    )
    assert told == {"last": "say", "failed": [None, None]}


def test_what_was_refused_is_taken_back_also_where_something_was_read_meanwhile() -> None:
    told = played(
        CHAT,
        """
        const settled = () => new Promise((resolve) => setImmediate(resolve));
        page.pulse();
        const pulse = sent.at(-1);
        page.change({ system: "Be brief." });
        await settled();
        const { view, request } = sent.at(-1);
        const shown = [page.open.value.system];
        reply(pulse, { models: [], chats });
        shown.push(page.open.value.system);
        hear({ type: "reply", number: ++number, view, request, error: { code: "invalid_request", message: "No." } });
        await settled();
        tell({ shown, now: page.open.value.system ?? null });
        """,
    )
    assert told == {"shown": ["Be brief.", "Be brief."], "now": None}


def test_a_form_that_was_begun_waits_for_the_view_that_comes_next_and_asks_for_the_same() -> None:
    told = played(
        BROWSER,
        """
        const { FineTunes } = await import("./finetunes.js");
        const datasets = [{ name: "seafarer" }, { name: "courteous" }];
        const presets = [{ name: "quick", recipe: { max_steps: 30 } }];
        const form = { datasets, bases: [{ id: "smollm2" }], fields: [], presets };
        const open = (dataset = "") => {
          const page = new FineTunes({ ...model, get: (name) => (name === "dataset" ? dataset : "") });
          reply(sent.at(-1), { form, jobs: { items: [], next_cursor: null }, environment: null, run: null });
          return page;
        };
        const seen = (page) => [page.draft.value.dataset, page.draft.value.values.max_steps];
        open().close();
        const begun = open();
        begun.choose({ dataset: "courteous" });
        begun.set("max_steps", "12");
        begun.close();
        const after = [seen(open("courteous")), seen(open())];
        leaving.at(-1)();
        datasets.pop();
        tell([...after, seen(open()), seen(open())]);
        """,
    )
    assert told == [["courteous", 30], ["courteous", "12"], ["seafarer", "12"], ["seafarer", 30]]
