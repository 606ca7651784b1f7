"""What a person does while a page waits for something stands: no answer that comes late ignores it or takes it back."""

from __future__ import annotations

from .test_comm import CHAT, played
from .test_page_state import BROWSER, COMPARED, PROVIDERS

# Conversations, of which the page shows none yet: the answer to its first question is still on its way.
LOADING = """
const { Conversations } = await import("./conversations.js");
const chat = { id: "c", running: null, updated_at: 1, pinned: false, archived: false, folder: "", tags: [] };
const chats = { items: [chat, { ...chat, id: "d" }], next_cursor: null, folders: [], tags: [] };
const shown = (id) => ({ chat: { ...chat, id }, messages: [], next_cursor: null, calls: null });
const page = new Conversations(model);
const begin = (more) => reply(asked("start")[0], { models: [], chats, chat: shown("c"), ...more });
"""
FINETUNES = """
const { FineTunes } = await import("./finetunes.js");
const page = new FineTunes(model);
const job = { id: "1", created_at: 1, ended_at: 1, name: "first" };
const now = { environment: { state: "ready" }, jobs: { items: [job], next_cursor: null } };
const run = { job, figures: {}, history: [], points: [], log: "", serving: false };
const form = { datasets: [{ name: "d" }], bases: [{ id: "b" }], fields: [], presets: [{ name: "quick", recipe: {} }] };
const begin = (more) => reply(asked("start")[0], { form, ...now, ...more });
"""


def test_who_began_anew_while_the_page_was_loading_stays_there() -> None:
    told = {
        "chat": played(
            BROWSER,
            LOADING,
            """
            page.startNew();
            begin();
            reply(asked("show").at(-1), {});
            tell({ open: page.open.value, told: asked("show").at(-1).values.id, loading: page.loading.value });
            """,
        ),
        "compare": played(
            BROWSER,
            COMPARED.replace("reply(sent[0]", "page.startNew();\nreply(sent[0]"),
            """
            tell({ open: page.open.value, told: asked("show").at(-1).values.id, loading: page.loading.value });
            """,
        ),
        "finetune": played(
            BROWSER,
            FINETUNES,
            """
            page.startNew();
            begin({ run });
            tell({ open: page.open.value, told: asked("show").at(-1).values.id, loading: page.loading.value });
            """,
        ),
    }
    assert list(told.values()) == [{"open": None, "told": None, "loading": False}] * 3


def test_what_was_set_while_the_page_was_loading_is_set_for_what_it_shows_then() -> None:
    told = played(
        BROWSER,
        LOADING,
        """
        page.change({ parameters: { temperature: 1 } });
        page.change({ system: "Be brief." });
        begin({ chat: { ...shown("c"), chat: { ...chat, parameters: { max_tokens: 3 }, system: "" } } });
        await settled();
        const { parameters, system } = page.settings.value;
        tell({ parameters, system, first: asked("change").map(({ values }) => values) });
        """,
    )
    settings = {"max_tokens": 3, "temperature": 1}
    assert told == {
        "parameters": settings,
        "system": "Be brief.",
        "first": [{"id": "c", "parameters": settings}],
    }


def test_a_page_begins_with_its_assistant_whatever_is_asked_of_it_first() -> None:
    told = played(
        BROWSER,
        LOADING,
        """
        const assistant = { id: "poet", name: "Poet", model: "m", system: "Rhyme.", parameters: {} };
        begin({ chat: null, assistant });
        page.setModel("other");
        reply(asked("others").at(-1), { me: {}, shared: { items: [] }, assistants: [assistant] });
        page.send("What is fog?");
        await settled();
        const { assistant: id, model: chosen } = asked("say")[0].values;
        tell({ id, chosen, tag: page.assistants.chosen.value.name });
        """,
    )
    assert told == {"id": "poet", "chosen": "other", "tag": "Poet"}


def test_who_goes_from_one_conversation_to_the_next_is_not_led_back() -> None:
    told = played(
        BROWSER,
        LOADING,
        """
        begin({ chat: null });
        page.show("c");
        page.showMessage("in c");
        const first = asked("show").at(-1);
        page.show("d");
        reply(first, shown("c"));
        await settled();
        const between = [page.open.value.id, page.loading.value];
        reply(asked("show").at(-1), shown("d"));
        await settled();
        tell({ between, after: [page.open.value.id, page.loading.value], sought: asked("select").length });
        """,
    )
    assert told == {"between": ["d", True], "after": ["d", False], "sought": 0}


def test_a_temporary_conversation_that_is_left_before_it_began_is_gone_too() -> None:
    told = played(
        BROWSER,
        LOADING,
        """
        begin({ chat: null });
        page.change({ temporary: true });
        page.send("Between you and me");
        await settled();
        page.startNew();
        const messages = ["user", "assistant"].map((role, id) => ({ id, message: { role } }));
        reply(asked("say")[0], { chat: { ...chat, id: "t", temporary: true }, items: messages });
        tell({ deleted: asked("delete").map(({ values }) => values.id), shown: asked("show").at(-1).values.id });
        """,
    )
    assert told == {"deleted": ["t"], "shown": None}


def test_steps_between_versions_add_up_and_a_question_waits_for_them() -> None:
    told = played(
        CHAT,
        """
        const settled = () => new Promise((resolve) => setImmediate(resolve));
        const version = (id) => snapshot({ id, siblings: ["1", "2", "3"], message: { role: "user", parts: [] } });
        page.take(version("3"));
        const [row] = page.rows.value;
        page.turns.go(row, -1, 0);
        page.turns.go(row, -1, 0);
        page.send("And on");
        await settled();
        const steps = () => sent.filter(({ intent }) => ["select", "say"].includes(intent));
        reply(steps().at(-1), version("1"));
        await settled();
        tell(steps().map(({ intent, values }) => [intent, values.message ?? null]));
        """,
    )
    assert told == [["select", "1"], ["say", None]]


def test_what_is_pressed_in_the_dialog_of_sharing_is_done_also_while_it_waits() -> None:
    told = played(
        BROWSER,
        LOADING,
        """
        begin();
        const { sharing } = page;
        sharing.me.value = { ...sharing.me.value, hub: true };
        sharing.open("chats", chat);
        const [olga, pia] = ["olga", "pia"].map((grantee) => ({ kind: "person", grantee }));
        reply(sent.at(-1), { grants: [olga, pia], links: [] });
        for (const grant of [olga, pia, pia]) sharing.takeBack(grant);
        const taken = asked("take_back");
        for (const one of taken) reply(one, null);
        const gone = sharing.dialog.value.grants.map((grant) => grant.gone);
        tell({ taken: taken.map(({ values }) => values.grantee), gone });
        """,
    )
    assert told == {"taken": ["olga", "pia"], "gone": [True, True]}


def test_a_copy_of_what_another_shares_is_one_and_leads_nobody_back() -> None:
    told = played(
        BROWSER,
        LOADING,
        """
        begin({ chat: null });
        page.sharing.chats.value = [{ ...chat, id: "s", owner: "olga" }];
        page.sharing.read("s");
        reply(asked("read_shared")[0], { chat: { ...chat, id: "s" }, messages: [], next_cursor: null });
        page.sharing.copy();
        page.sharing.copy();
        const copies = asked("copy_shared");
        page.show("d");
        for (const one of copies) reply(one, { ...chat, id: "copy" });
        tell({ keys: new Set(copies.map(({ values }) => values.key)).size, open: page.open.value.id });
        """,
    )
    assert told == {"keys": 1, "open": "d"}


def test_a_list_of_providers_that_was_read_before_a_change_takes_nothing_back() -> None:
    told = played(
        BROWSER,
        PROVIDERS,
        """
        page.pulse();
        page.know({ ...provider, name: "renamed" });
        page.added({ shown: { provider: { id: "q", name: "added" }, models: [] }, warnings: [] }, true);
        hear({ type: "limits", number: ++number, limits: [{ id: "l" }] });
        reply(asked("pulse").at(-1), now);
        const early = [ids(), page.openId.value, page.limits.value.length];
        page.remove(provider);
        page.pulse();
        reply(asked("pulse").at(-1), { ...now, providers: [provider, { id: "q", name: "added" }] });
        const removed = ids();
        reply(asked("remove").at(-1), null);
        await settled();
        page.pulse();
        reply(asked("pulse").at(-1), { ...now, providers: [{ id: "q", name: "later" }] });
        tell({ early, removed, late: [ids(), page.limits.value.length] });
        """,
    )
    assert told["early"] == [["p renamed", "q added"], "q", 1]
    assert told["removed"] == ["q added"]
    assert told["late"] == [["q later"], 0]


def test_who_left_a_form_or_a_provider_is_not_led_back_to_it() -> None:
    told = played(
        BROWSER,
        PROVIDERS,
        """
        page.talkTo(models[0]);
        page.leave();
        reply(asked("talk")[0], { widget: "w" });
        page.startAdding("deepseek");
        page.added({ shown: { provider: { id: "q", name: "added" }, models: [] }, warnings: [] }, false);
        tell({ talk: page.talk.value, adding: page.adding.value, open: page.openId.value, known: ids() });
        """,
    )
    assert told == {"talk": None, "adding": "deepseek", "open": None, "known": ["p p", "q added"]}


def test_models_that_were_hidden_are_hidden_also_where_the_provider_was_left_at_once() -> None:
    told = played(
        BROWSER,
        PROVIDERS,
        """
        page.offer(provider, models[0], false);
        page.offer(provider, models[1], false);
        const shown = page.models.value.map(({ offered }) => offered);
        page.leave();
        await settled();
        reply(asked("offer").at(-1), { provider: { ...provider, only: ["b", "c"] }, models });
        await settled();
        tell({ shown, asked: asked("offer").map(({ values }) => values.only) });
        """,
    )
    assert told == {"shown": [False, False, True], "asked": [["b", "c"], ["c"]]}


def test_what_is_switched_twice_is_switched_in_that_order_and_what_goes_by_it_waits() -> None:
    told = played(
        BROWSER,
        PROVIDERS,
        """
        const states = () => asked("change").map(({ values }) => values.changes.enabled);
        page.change(provider, { enabled: false });
        page.change(provider, { enabled: true });
        await settled();
        const first = states();
        reply(asked("change")[0], provider);
        await settled();
        page.sync(provider);
        await settled();
        const then = [states(), asked("sync").length];
        reply(asked("change")[1], provider);
        await settled();
        tell({ first, then, after: asked("sync").length });
        """,
    )
    assert told == {"first": [False], "then": [[False, True], 0], "after": 1}


def test_usage_is_saved_only_as_it_was_asked_for_last() -> None:
    told = played(
        BROWSER,
        PROVIDERS,
        """
        const saved = [];
        page.go("usage");
        for (const by of ["model", "day"]) {
          if (by === "day") page.lookAt({ by });
          saved.push(page.usageIsNew.value);
          reply(asked("used").at(-1), { rows: [] });
          saved.push(page.usageIsNew.value);
        }
        tell(saved);
        """,
    )
    assert told == [False, True, False, True]


def test_a_fine_tune_that_was_deleted_or_left_does_not_come_back() -> None:
    told = played(
        BROWSER,
        FINETUNES,
        """
        begin({ run: null });
        page.pulse();
        page.remove(job);
        reply(asked("delete")[0], null);
        await settled();
        reply(asked("pulse")[0], now);
        const deleted = page.jobs.value.length;
        reply(asked("start")[0], null);
        page.begin();
        hear({ type: "job", number: ++number, job: { ...job, id: "3", created_at: 3 } });
        page.show("3");
        const show = asked("show").at(-1);
        reply(asked("begin")[0], { run: { ...run, job: { ...job, id: "2", created_at: 2 } } });
        const open = page.open.value.id;
        page.talkTo("m");
        page.startNew();
        reply(asked("talk")[0], { widget: "w" });
        tell({ deleted, open, jobs: page.jobs.value.map(({ id }) => id), talk: page.talk.value });
        """,
    )
    assert told == {"deleted": 0, "open": "3", "jobs": ["3", "2"], "talk": None}


def test_what_is_chosen_while_a_comparison_loads_is_asked_and_listed_also_where_it_is_left() -> None:
    told = played(
        BROWSER,
        COMPARED,
        """
        page.show("2");
        page.add("c");
        reply(asked("show").at(-1), { comparison: { ...about, id: "2", models: ["b", "a"], items } });
        const chosen = [...page.chosen.value];
        page.send("And stars?");
        page.show("1");
        reply(asked("ask")[0], { comparison: { ...about, id: "3", created_at: 3, items: [] } });
        tell({ chosen, listed: page.earlier.value.map(({ id }) => id), open: page.open.value.id });
        """,
    )
    assert told == {"chosen": ["b", "a", "c"], "listed": ["3", "2", "1"], "open": "1"}


def test_a_file_that_is_chosen_at_once_is_not_put_aside_for_an_earlier_import() -> None:
    told = played(
        BROWSER,
        LOADING,
        """
        begin();
        page.transfer.openImport();
        const [opened] = asked("imports");
        page.transfer.choose({ name: "mine.json", size: 9 });
        reply(asked("imports").at(-1), []);
        await settled();
        reply(opened, [{ id: "theirs", state: "reading" }]);
        await settled();
        reply(asked("begin_import")[0], { id: "mine", state: "ended" });
        await settled();
        tell(page.transfer.shown.value.id);
        """,
    )
    assert told == "mine"


def test_a_page_with_an_assistant_keeps_what_was_set_or_begun_while_it_was_loading() -> None:
    poet = 'const assistant = { id: "poet", name: "Poet", system: "Rhyme.", parameters: { max_tokens: 3 } };'
    told = [
        played(
            BROWSER,
            LOADING,
            poet,
            first,
            """
            page.change({ parameters: { temperature: 1 }, system: "Be brief." });
            begin({ assistant, chat: remembered });
            const { assistant_id: id, system, parameters } = page.settings.value;
            tell({ open: page.open.value, id, system, parameters });
            """,
        )
        for first in (
            "const remembered = null;",
            'const remembered = shown("c"); page.startNew();',
        )
    ]
    settings = {"system": "Be brief.", "parameters": {"max_tokens": 3, "temperature": 1}}
    assert told == [{"open": None, "id": "poet", **settings}] * 2


def test_a_rename_that_is_told_while_the_page_is_loading_stands() -> None:
    told = played(
        BROWSER,
        LOADING,
        """
        page.comm.follow();
        hear({ type: "chat", number: ++number, chat: { ...chat, id: "d", title: "Moons" } });
        begin();
        tell(page.library.find("d").title);
        """,
    )
    assert told == "Moons"


def test_a_copy_stays_one_also_where_the_conversation_is_read_again_meanwhile() -> None:
    told = played(
        BROWSER,
        LOADING,
        """
        begin({ chat: null });
        reply(asked("others")[0], { me: {}, shared: { items: [{ ...chat, id: "s" }] }, assistants: [] });
        page.sharing.read("s");
        const told = (at) => ({ ...chat, id: "s", updated_at: at });
        const read = (at) => reply(asked("read_shared").at(-1), { chat: told(at), messages: [] });
        read(1);
        page.sharing.copy();
        page.sharing.refresh({ me: {}, shared: { items: [told(2)] } }, performance.now());
        read(2);
        page.sharing.copy();
        const keys = new Set(asked("copy_shared").map(({ values }) => values.key));
        tell({ read: asked("read_shared").length, keys: keys.size });
        """,
    )
    assert told == {"read": 2, "keys": 1}
