"""What a person asked and left before it was answered: it is not lost, and it disturbs nothing of where they are."""

from __future__ import annotations

from .test_comm import played
from .test_meanwhile import LOADING
from .test_page_state import BROWSER, COMPARED


def test_a_question_that_could_not_be_asked_waits_where_it_was_asked() -> None:
    told = played(
        BROWSER,
        LOADING,
        """
        begin();
        const says = ({ message: { value: said } }) => said.parts?.[0].text ?? said.error.code;
        const seen = () => page.rows.value.map(says);
        const go = (id) => {
          page.show(id);
          reply(asked("show").at(-1), shown(id));
        };
        page.send("Moons?");
        await settled();
        go("d");
        refuse(asked("say")[0], { code: "service", message: "The service does not answer." });
        await settled();
        const elsewhere = [seen(), page.toasts.value.map(({ text }) => text)];
        page.toasts.value[0].act();
        reply(asked("show").at(-1), shown("c"));
        const there = seen();
        page.rows.value.at(-1).again();
        await settled();
        go("d");
        go("c");
        refuse(asked("say")[1], { code: "invalid_request", message: "No." });
        await settled();
        const questions = asked("say").map(({ values: { chat: id, text } }) => [id, text]);
        const keys = new Set(asked("say").map(({ values }) => values.key)).size;
        tell({ elsewhere, there, back: seen(), toasts: page.toasts.value.length, questions, keys });
        """,
    )
    assert told["elsewhere"] == [[], ["The service does not answer."]]
    assert (told["there"], told["back"]) == (["Moons?", "service"], ["Moons?", "invalid_request"])
    assert told["toasts"] == 1
    assert (told["questions"], told["keys"]) == ([["c", "Moons?"]] * 2, 1)


def test_a_new_conversation_that_could_not_begin_is_there_again_with_the_next_new_one() -> None:
    told = played(
        BROWSER,
        LOADING,
        """
        begin({ chat: null });
        page.send("Moons?");
        await settled();
        page.show("d");
        refuse(asked("say")[0], { code: "invalid_request", message: "No." });
        await settled();
        const between = page.rows.value.length;
        page.startNew();
        const after = page.rows.value.length;
        page.startNew();
        tell({ between, after, later: page.rows.value.length });
        """,
    )
    assert told == {"between": 0, "after": 2, "later": 0}


def test_a_comparison_that_could_not_be_asked_is_written_again_wherever_one_is() -> None:
    told = played(
        BROWSER,
        COMPARED,
        """
        page.send("And stars?");
        page.show("2");
        refuse(asked("ask")[0], { code: "service", message: "The service does not answer." });
        await settled();
        tell({ open: page.open.value.id, returned: page.returned.value });
        """,
    )
    assert told == {"open": "2", "returned": "And stars?"}


# A conversation with a question and the first of its two answers.
ANSWERED = """
const question = { id: "q", siblings: ["q"], message: { role: "user", parts: [{ type: "text", text: "Moons?" }] } };
const answer = (id, more) => {
  const message = { role: "assistant", model: "m", finish_reason: "stop", parts: [] };
  return { id, parent_id: "q", siblings: ["1", "2"], message: { ...message, ...more } };
};
const answered = (id, of = "c") => ({ ...shown(of), messages: [{ ...question, parent_id: null }, answer(id)] });
begin({ chat: answered("1") });
const seen = () => page.rows.value.map(({ id }) => id);
"""


def test_an_answer_that_is_asked_for_right_after_a_step_stands_alone() -> None:
    told = played(
        BROWSER,
        LOADING,
        ANSWERED,
        """
        const [, row] = page.rows.value;
        page.turns.go(row, 1, 0);
        page.turns.regenerate(row);
        await settled();
        reply(asked("select")[0], answered("2"));
        await settled();
        const began = { ...answer("3", { finish_reason: null }), generation_id: "g", siblings: ["1", "2", "3"] };
        const early = seen();
        reply(asked("regenerate")[0], { chat: { ...chat, running: "g" }, items: [began] });
        tell({ early, late: seen() });
        """,
    )
    assert told == {"early": ["q", "2", None], "late": ["q", "3"]}


def test_who_left_while_the_answer_elsewhere_was_looked_for_is_not_led_there() -> None:
    told = played(
        BROWSER,
        LOADING,
        ANSWERED,
        """
        page.open.value = { ...page.open.value, running: "g" };
        page.turns.showRunning();
        page.show("d");
        reply(asked("written_by")[0], "3");
        await settled();
        tell(asked("select").length);
        """,
    )
    assert told == 0


def test_an_edit_that_is_refused_after_its_conversation_was_left_disturbs_no_other() -> None:
    told = played(
        BROWSER,
        LOADING,
        ANSWERED,
        """
        page.turns.edit(page.rows.value[0], "Seas?");
        await settled();
        page.show("d");
        const other = { ...question, id: "p" };
        reply(asked("show").at(-1), { ...shown("d"), messages: [other] });
        page.turns.startEditing(page.rows.value[0]);
        refuse(asked("edit")[0], { code: "service", message: "The service does not answer." });
        await settled();
        const elsewhere = page.turns.editing.value;
        page.show("c");
        reply(asked("show").at(-1), answered("1"));
        page.turns.startEditing(page.rows.value[0]);
        tell([elsewhere, page.turns.editing.value].map(({ row, text }) => [row.id, text]));
        """,
    )
    assert told == [["p", "Moons?"], ["q", "Seas?"]]
