"""What of a conversation a model is given again."""

from __future__ import annotations

from llmws.messages import Message, Part
from llmws.service.history import GO_ON, fit, going_on, turns
from llmws.service.metering import estimate_messages


def answer(text: str) -> Message:
    return Message("assistant", (Part("text", text),) if text else ())


def test_an_answer_that_said_nothing_is_not_repeated() -> None:
    path = [Message.user("a"), answer(""), Message.user("b"), answer("c")]
    assert [message.text for message in turns("", path)] == ["a", "b", "c"]
    assert turns("Be brief.", path)[0] == Message.system("Be brief.")


def test_what_fits_is_left_alone() -> None:
    path = [Message.user("a"), answer("b")]
    assert fit(path, context=None) == (tuple(path), ())
    assert fit(path, context=1000) == (tuple(path), ())


def test_the_oldest_turns_go_and_the_rest_begins_with_a_person() -> None:
    path = [Message.system("s")]
    for n in range(10):
        path += [Message.user(f"question {n} " + "x" * 100), answer(f"answer {n} " + "y" * 100)]
    path.append(Message.user("last"))
    kept, [warning] = fit(path, context=200, max_tokens=50)
    assert estimate_messages(kept) <= 120
    assert [message.role for message in kept[:2]] == ["system", "user"]
    assert kept[-1].text == "last"
    assert warning.data["dropped"] == len(path) - len(kept)


def test_system_prompt_and_last_message_stay_whatever_they_take() -> None:
    path = [Message.system("s" * 1000), answer("old"), Message.user("x" * 1000)]
    kept, _ = fit(path, context=100)
    assert kept == (path[0], path[2])


def test_an_answer_and_its_continuation_are_one_to_a_model() -> None:
    thought = Message("assistant", (Part("reasoning", "hm"), Part("text", "and so on")))
    path = [Message.user("a"), answer("It goes "), thought, Message.user("b"), answer("c")]
    joined = turns("", path)
    assert [message.role for message in joined] == ["user", "assistant", "user", "assistant"]
    assert joined[1].parts == (Part("text", "It goes and so on"),)


def test_what_a_model_goes_on_with_stays_however_long_the_talk_was() -> None:
    path = [Message.user(f"old {n} " + "x" * 100) for n in range(10)]
    asked, told = going_on([*path, Message.user("Tell me."), answer("Once " * 200)], context=200)
    kept, [cut] = fit(asked, context=200, max_tokens=50, keep=3)
    assert [message.role for message in kept[-3:]] == ["user", "assistant", "user"]
    assert (kept[-3].text, kept[-1].text) == ("Tell me.", GO_ON)
    assert kept[-2].text != "Once " * 200
    assert ("Once " * 200).endswith(kept[-2].text)
    assert [event.data["code"] for event in (*told, cut)] == ["answer_cut", "history_cut"]
