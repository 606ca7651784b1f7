"""What is read from other programs' files, and what is made of files that mean no good.

The samples beside this file were written for it, after the shapes that are named in `chatgpt.py` and `open_webui.py`.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmws.messages import Message, Part
from llmws.transfer import __main__ as child
from llmws.transfer import chatgpt, open_webui, own, records
from llmws.transfer.__main__ import tell
from llmws.transfer.conversations import Conversation, Node, Unreadable

from .conversations import a_conversation, large_file, nothing

HERE = Path(__file__).parent
JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def sample(name: str) -> list[dict[str, Any]]:
    return list(json.loads((HERE / f"{name}.json").read_text("utf-8")))


def told(path: Path) -> list[dict[str, Any]]:
    return list(tell(path))


def outline(conversation: Conversation) -> list[tuple[str, str | None, str]]:
    return [(node.id, node.parent_id, node.message.role) for node in conversation.nodes]


def test_chatgpt_is_read_with_its_branches() -> None:
    moons = chatgpt.convert(sample("chatgpt")[0])
    assert outline(moons) == [
        ("q1", None, "user"),
        ("t1", "q1", "assistant"),
        ("q2", "t1", "user"),
        ("a2", "q2", "assistant"),
        ("b1", "q1", "assistant"),
    ]
    about = ("title", "model", "head_id", "archived", "pinned", "created_at")
    assert [getattr(moons, each) for each in about] == ["Moons", "gpt-5-thinking", "a2", True, True, 1700000000.5]
    question, answer, _, cut, other = (node.message for node in moons.nodes)
    assert question.text == "Name the moons of Mars. 火星的卫星？"
    assert question.parts[0].data == {"attachment": "file_0001", "name": "mars.png"}
    assert answer.reasoning.strip() == "**Recalling**\n\nTwo of them."
    assert answer.text.endswith(
        "```python\nprint(2)\n```\n\n```\n2\n```\n\nPhobos and Deimos. ([moons](https://example.org/moons))"
    )
    assert [part.data["url"] for part in answer.parts if part.type == "citation"] == ["https://example.org/moons"]
    assert answer.timing is not None
    assert answer.timing.reasoning_s == 8
    assert (cut.finish_reason, cut.model) == ("length", "gpt-4o")
    assert other.text == "Another answer."
    assert "hidden" not in repr(moons.nodes)
    assert "page that the tool read" not in repr(moons.nodes)


def test_open_webui_is_read_with_its_figures() -> None:
    chat = open_webui.convert(sample("open_webui")[0])
    assert outline(chat) == [("q1", None, "user"), ("a1", "q1", "assistant"), ("a2", "q1", "assistant")]
    assert (chat.head_id, chat.tags, chat.system, chat.pinned) == ("a1", ("physics", "天文"), "Be brief.", True)
    assert chat.parameters.to_dict() == {"temperature": 0.2, "stop": ["END"]}
    question, answer, failed = (node.message for node in chat.nodes)
    assert question.text == "[image]\n\n[notes.txt]\n\nWhat is 15 * 17?"  # its data URL is taken out by the reader
    assert (answer.reasoning, answer.text) == ("15 * 17\n= 255", "It is **255**.")
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.reasoning_tokens) == (37, 285, 12)
    assert answer.timing is not None
    assert (answer.timing.first_token_s, answer.timing.reasoning_s, answer.timing.total_s) == (4.0, 3.0, 7.0)
    assert [part.text for part in answer.parts if part.type == "warning"] == ["A tool was called: calculator."]
    assert (failed.finish_reason, failed.error) == ("error", {"message": "Model not found", "code": "provider"})
    newer = open_webui.convert(sample("open_webui")[1])
    assert (newer.model, newer.nodes[1].message.text, newer.nodes[1].message.reasoning) == (
        "gpt-oss",
        "Hello.",
        "Greet.",
    )
    assert open_webui.convert({**sample("open_webui")[0], "folder": "Moons"}).folder == "Moons"
    # Its own export tells only an id: what was together stays together.
    grouped = {open_webui.convert({**one, "folder_id": "0d5a8f3e-77"}).folder for one in sample("open_webui")[:3]}
    assert grouped == {"Open WebUI 0d5a8f3e"}
    linear = open_webui.convert(sample("open_webui")[2])
    assert outline(linear) == [("1", None, "user"), ("2", "1", "assistant")]
    with pytest.raises(Unreadable, match="no message"):
        open_webui.convert(sample("open_webui")[3])


def test_our_own_comes_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "chats.json"
    file.write_text("".join(own.write([a_conversation()], nothing)), "utf-8")
    [record] = records.read(file, lambda count: None)
    assert record.value is not None
    assert own.convert(record.value) == a_conversation()


def test_an_answer_that_does_not_say_how_it_ended_has_ended() -> None:
    nodes = [
        Node("q", None, Message.user("Why?"), 1.0),
        Node("a", "q", Message("assistant", (Part("text", "Because."),)), 2.0),
        Node("b", "q", Message("assistant", error={"message": "No."}), 3.0),
    ]
    [chat] = json.loads("".join(own.write([a_conversation(nodes=nodes, head_id="b")], nothing)))["chats"]
    assert [node.message.finish_reason for node in own.convert(chat).nodes] == [None, "stop", "error"]


def test_our_own_is_not_trusted() -> None:
    [chat] = json.loads("".join(own.write([a_conversation()], nothing)))["chats"]
    chat["messages"][0]["message"]["parts"][1]["data"]["url"] = "https://evil.example/p.png"
    assert "evil" not in repr(own.convert(chat))
    call = {"type": "tool_call", "data": {"id": 7, "name": "add", "arguments": {"a": 1}}}
    chat["messages"][2]["message"]["parts"].append(call)
    assert own.convert(chat).nodes[2].message.parts[-1].data == {"id": "7", "name": "add", "arguments": '{"a": 1}'}
    chat["parameters"] = {"temperature": "hot", "unknown": 1}
    assert own.convert(chat).parameters.to_dict() == {}
    chat["messages"][2]["message"]["usage"] = {"input_tokens": "many"}
    with pytest.raises(Unreadable, match="message 3 cannot be read: usage"):
        own.convert(chat)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_has_another_shape_takes_nothing_else_with_it(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any value anywhere in a record is replaced: it is read all the same, or refused, and the next one is read."""
    base = data.draw(st.sampled_from(["chatgpt", "open_webui"]))
    spoilt, good = sample(base)[0], sample(base)[0]
    at: Any = spoilt
    while True:
        steps = list(at) if isinstance(at, dict) else list(range(len(at)))
        step = data.draw(st.sampled_from(steps))
        if not isinstance(at[step], dict | list) or not at[step] or data.draw(st.integers(0, 3)) == 0:
            at[step] = data.draw(JUNK)
            break
        at = at[step]
    file = tmp_path_factory.mktemp("spoilt") / "file.json"
    file.write_text(json.dumps([spoilt, good]))
    lines = told(file)
    assert lines[-1] == {"end": True}
    assert [line["place"] for line in lines if "place" in line] == [1, 2]
    assert "chat" in next(line for line in lines if line.get("place") == 2)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not JSON"),
        (b"hello", "not JSON"),
        (b'"text"', "neither a list nor an object"),
        (b'[{"title": "a"', "not JSON after conversation|breaks off"),
        (b"[1, 2", "after conversation 2"),
        (b"\xff\xfe[]", "breaks off: lexical error: invalid char in json text."),
        (b'{"format": "llmws.chats", "version": 2, "chats": []}', "newer version"),
        (b'{"chats": 5}', "no list"),
        (b"PK\x03\x04rubbish", "damaged"),
        (b"[" * 5_000_000, "breaks off"),
    ],
)
def test_a_file_that_is_none_says_so(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    broken, end = told(tmp_path / "file")[-2:]
    assert end == {"end": True}
    assert any(each in broken["broken"] for each in reason.split("|")), broken
    assert "^" not in broken["broken"], "an arrow that points at nothing"


def test_one_record_too_many_is_left_out_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LARGEST_RECORD", 10_000)
    deep: Any = "x"
    for _ in range(100):
        deep = [deep]
    large = {"mapping": {"a": "x" * 20_000}}
    (tmp_path / "file").write_text("\ufeff" + json.dumps([{"mapping": deep}, large, [], sample("chatgpt")[3]]))
    lines = told(tmp_path / "file")
    refused = [(line["place"], line["refused"]) for line in lines if "refused" in line]
    assert [place for place, _ in refused] == [1, 2, 3]
    assert "nested too deep" in refused[0][1]
    assert "larger than" in refused[1][1]
    assert [line["place"] for line in lines if "chat" in line] == [4]


def test_numbers_of_any_size_take_one_record_at_most(tmp_path: Path) -> None:
    whole, longer = sample("chatgpt")[0], sample("open_webui")[1]
    numbers = ["9223372036854775808", "-1e30", "0.1", "1e400", "1" * 400]
    spoilt = [json.dumps({**whole, "id": "N"}).replace('"N"', number) for number in numbers]
    (tmp_path / "file").write_text(f"[{', '.join(spoilt)}, {json.dumps(longer)}]")
    lines = told(tmp_path / "file")
    assert [line["place"] for line in lines if "chat" in line] == [1, 2, 3, 6]
    refused = {line["place"]: line["refused"] for line in lines if "refused" in line}
    assert refused == dict.fromkeys((4, 5), "There is a number in it that is too large.")
    assert not any("broken" in line for line in lines)


def test_what_is_longer_than_a_line_may_be_is_refused_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "LONGEST_MESSAGE", 5_000)
    long, good = "x" * 6_000, a_conversation()
    call = Message("assistant", (Part("tool_call", data={"id": "c", "name": "look", "arguments": long}),))
    failed = Message("assistant", error={"message": long}, finish_reason="error")
    said = [Message.user(long), call, failed, Message("assistant", (Part("text", "Yes."),), model=long)]
    chats = [a_conversation(nodes=(Node("q", None, message, 100.0),), head_id="q") for message in said]
    chats += [a_conversation(system=long), a_conversation(id=long), good]
    (tmp_path / "file").write_text("".join(own.write(chats, nothing)), "utf-8")
    lines = told(tmp_path / "file")
    assert [line["place"] for line in lines if "refused" in line] == [1, 2, 3, 4, 5, 6]
    assert all("longer than" in line["refused"] for line in lines if "refused" in line)
    assert [line["place"] for line in lines if "chat" in line] == [7]


def zipped(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_the_conversations_in_a_zip_are_read_and_nothing_else(tmp_path: Path) -> None:
    first, *_, last = sample("chatgpt")
    one, two = json.dumps([first]).encode(), json.dumps([last]).encode()
    files = {"export/conversations-001.json": two, "export/conversations-000.json": one, "export/user.json": b"{}"}
    lines = told(zipped(tmp_path / "export.zip", **files, **{"evil/../../conversations.txt": b"x"}))
    assert [line["chat"]["title"] for line in lines if "chat" in line] == ["Moons", "Old and bare"]
    empty = told(zipped(tmp_path / "empty.zip", **{"user.json": b"{}"}))
    assert "no conversations.json" in empty[0]["broken"]


def test_a_bomb_is_given_up(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("conversations.json", "w") as file:
        file.write(b"[")
        for _ in range(200):
            file.write(b" " * (1 << 20))
        file.write(b"]")
    (tmp_path / "bomb.zip").write_bytes(bomb.getvalue())
    assert "unpacks to far more" in told(tmp_path / "bomb.zip")[0]["broken"]


@pytest.mark.long
def test_a_string_without_end_takes_no_more_than_the_child_may_have(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b'[{"mapping": {"a": "' + b"x" * (100 << 20))
    script = "import sys; from llmws.transfer import __main__ as c; c.MEMORY = 160 << 20; c.main(sys.argv[1])"
    child = [sys.executable, "-c", script, str(tmp_path / "file")]
    said = subprocess.run(child, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    # Python says so, or the parser's library falls over: in either case it is the child's end alone.
    assert b"more memory" in said or said == b""


def test_half_an_answer_that_was_being_written_is_none() -> None:
    [chat] = json.loads("".join(own.write([a_conversation()], nothing)))["chats"]
    chat["messages"].append({"id": "x", "parent_id": "a3", "message": Message("assistant", model="echo").to_dict()})
    chat["head_id"] = "x"
    read = own.convert(chat)
    assert (len(read.nodes), read.head_id) == (5, "a3")


@pytest.mark.long
def test_a_hundred_megabytes_take_little_memory(tmp_path: Path) -> None:
    """The child as it is run; what it held at most, it says itself at its end."""
    file = large_file(tmp_path / "chats.json")
    script = "import sys; from llmws.transfer.__main__ import main; main(sys.argv[1]); "
    script += "print(*(line for line in open('/proc/self/status') if 'VmHWM' in line), file=sys.stderr)"
    child = [sys.executable, "-c", script, str(file)]
    done = subprocess.run(child, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True, text=True)
    kibibytes = int(done.stderr.split()[1])
    assert kibibytes < 120 * 1024, done.stderr
