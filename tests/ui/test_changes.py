"""Settings that are changed while earlier ones are on their way, and a question right after them; without a browser."""

from __future__ import annotations

from .test_comm import CHAT, played

SETTINGS = """
const settings = { parameters: {}, system: "" };
const shown = () => ({ parameters: page.settings.value.parameters, system: page.settings.value.system });
const begun = sent.length;
const intents = () => sent.slice(begun).map(({ intent }) => intent);
const now = () => new Promise(setImmediate);
const refuse = ({ view, request }) =>
  hear({ type: "reply", number: ++number, view, request, error: { code: "invalid_request", message: "No." } });
hear({ type: "chat", number: ++number, chat: { ...chat, ...settings } });
"""


def test_a_question_waits_for_the_settings_that_it_is_answered_with() -> None:
    told = played(
        CHAT,
        SETTINGS,
        """
        page.change({ parameters: { max_tokens: 3 } });
        page.change({ system: "Be brief." });
        page.send("one two three four");
        await now();
        const first = intents();
        reply(sent.at(-1), { ...chat, parameters: { max_tokens: 3 }, system: "" });
        await now();
        const second = intents();
        const between = shown();
        reply(sent.at(-1), { ...chat, parameters: { max_tokens: 3 }, system: "Be brief." });
        await now();
        tell({ first, second, between, third: intents(), shown: shown() });
        """,
    )
    settings = {"parameters": {"max_tokens": 3}, "system": "Be brief."}
    assert told["first"] == ["change"]
    assert told["second"] == ["change", "change"]
    assert told["between"] == settings
    assert told["third"] == ["change", "change", "say"]
    assert told["shown"] == settings


def test_another_answer_waits_for_them_too() -> None:
    told = played(
        CHAT,
        SETTINGS,
        """
        const answer = { id: "a", message: { role: "assistant", model: "m", finish_reason: "stop" } };
        hear({ type: "appended", number: ++number, chat: { ...chat, ...settings }, items: [answer] });
        page.change({ parameters: { max_tokens: 3 } });
        page.turns.regenerate(page.rows.value[0]);
        await now();
        const first = intents();
        reply(sent.at(-1), { ...chat, ...settings, parameters: { max_tokens: 3 } });
        await now();
        tell({ first, second: intents() });
        """,
    )
    assert told == {"first": ["change"], "second": ["change", "regenerate"]}


def test_one_that_is_refused_is_as_it_was_and_the_others_stay() -> None:
    told = played(
        CHAT,
        SETTINGS,
        """
        page.change({ system: "Be brief." });
        page.library.rename(chat, "Seas");
        await now();
        refuse(sent.at(-1));
        await now();
        const { system, title } = page.open.value;
        tell({ system, title, toasts: page.toasts.value.length, next: sent.at(-1).values });
        """,
    )
    assert told == {"system": "", "title": "Seas", "toasts": 1, "next": {"id": "c", "title": "Seas"}}


def test_what_is_set_before_a_first_question_has_its_conversation_is_set_there() -> None:
    told = played(
        CHAT,
        SETTINGS,
        """
        page.startNew();
        page.setModel("m");
        page.send("Hi");
        await now();
        const said = sent.at(-1);
        page.change({ system: "Be brief." });
        const items = [{ id: "q", message: { role: "user" } }, { id: "a", message: { role: "assistant" } }];
        reply(said, { chat: { ...chat, ...settings, id: "n", model: "m" }, items });
        await now();
        const { intent, values } = sent.at(-1);
        tell({ intent, values, shown: shown() });
        """,
    )
    settings = {"parameters": {}, "system": "Be brief."}
    assert told == {"intent": "change", "values": {"id": "n", **settings, "model": "m"}, "shown": settings}


def test_one_that_goes_wrong_in_the_page_holds_up_no_question() -> None:
    told = played(
        CHAT,
        SETTINGS,
        """
        const wrong = page.changes.after(() => Promise.reject(new TypeError("It is null.")));
        page.send("Hi");
        await now();
        tell({ told: await wrong.catch((error) => error.message), then: intents() });
        """,
    )
    assert told == {"told": "It is null.", "then": ["say"]}
