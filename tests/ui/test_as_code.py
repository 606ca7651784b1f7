"""The lines that the chat page shows for what it did: they run, and give exactly what was said."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from llmws.ui.as_code import lines

HOSTILE = [
    'He said "no", didn\'t he?\nAnd \'\'\' or """ too\\',
    '"); import os; os.remove("x") #',
    "\\N{BULLET} \\x41 {braces} %s $HOME",
    "tabs\tand\rreturns\r\nand\x00nothing \u2028 \u202e \ufeff",
    "用两句话解释：天空为什么是蓝色的？" * 9,
    "line\n" * 30,
    "",
]


def run(text: str, **given: Any) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    """Run the lines against a client that only notes: what was begun, and how it was asked."""
    begun: dict[str, Any] = {}
    asked: list[Any] = []
    named: dict[str, Any] = {}

    class Chat:
        def send(self, *args: Any, **more: Any) -> Any:
            asked.extend(args)
            named.update(more)
            return type("Message", (), {"text": ""})

    class Chats:
        def create(self, **more: Any) -> Chat:
            begun.update(more)
            return Chat()

        def open(self, id: str) -> Chat:
            begun["open"] = id
            return Chat()

    client = type("Client", (), {"chats": Chats()})
    told = text.replace("import llmws\n", "").replace("llmws.connect()", "client")
    exec(compile(told, "cell", "exec"), {"client": client, **given})
    return begun, asked, named


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_is_a_literal(text: str) -> None:
    told = lines(text, text, text, {"stop": (text,), "extra": {text: [text]}}, attachments=[text])
    assert all(sign.isprintable() for sign in told if sign != "\n")
    begun, asked, named = run(told)
    wanted = {"model": text, "system": text} if text else {}
    assert begun == {**wanted, "stop": (text,), "extra": {text: [text]}}
    assert (asked, named) == ([text], {"attachments": [text]})


# What means something to IPython at the begin of a line.
LINES = (
    "!ls",
    "%%bash",
    "%time x",
    "?x",
    "x?",
    ">>> import os",
    "... x",
    "In [1]: x",
    "Out[1]: x",
    "  ",
    '"""',
    "\\",
    "",
)
TEXTS = st.lists(st.sampled_from(LINES) | st.text(), max_size=5).map("\n".join) | st.text()


@given(TEXTS, TEXTS.filter(bool), st.dictionaries(st.text(), TEXTS))
def test_whatever_is_typed_comes_out_again_and_does_nothing(question: str, system: str, extra: dict[str, str]) -> None:
    """As a kernel reads it, which takes some lines for commands and others for prompts."""
    told = lines(question, system, system, {"temperature": 0.5, "seed": None, "extra": extra}, attachments=[system])
    read = TransformerManager().transform_cell(told)
    names = {node.id for node in ast.walk(ast.parse(read)) if isinstance(node, ast.Name)}
    assert names <= {"llmws", "client", "chat", "message"}
    begun, asked, named = run(read)
    wanted = {"model": system, "system": system, "temperature": 0.5, **({"extra": extra} if extra else {})}
    assert (begun, asked, named) == (wanted, [question], {"attachments": [system]})


def test_a_conversation_that_goes_on_is_opened_and_functions_are_named() -> None:
    def look() -> None: ...

    told = lines("Go on", "echo", "Be brief.", {"max_tokens": 9}, goes_on="abc", tools=["look"])
    assert run(told, look=look) == ({"open": "abc"}, ["Go on"], {"model": "echo", "max_tokens": 9, "tools": [look]})


def test_a_conversation_begins_with_its_assistant_and_what_was_changed_since() -> None:
    poet = {"called": "Poet", "model": "echo", "system": "Rhyme.", "parameters": {"temperature": 0.9, "seed": None}}

    def begun(system: str | None, parameters: dict[str, Any], model: str = "echo", **more: Any) -> dict[str, Any]:
        return run(lines("Fog?", model, system, parameters, assistant=poet, **more))[0]

    assert begun("Rhyme.", {"temperature": 0.9}) == {"assistant": "Poet"}
    assert begun("Rhyme.", {"temperature": 0.9}, temporary=True) == {"assistant": "Poet", "temporary": True}
    changed = begun("", {"temperature": 0.1, "max_tokens": 9}, "other")
    assert changed == {"assistant": "Poet", "model": "other", "system": "", "temperature": 0.1, "max_tokens": 9}
    # What it sets cannot be left to the model again: then all is said, and it is not named.
    assert begun("Rhyme.", {"max_tokens": 9}) == {"model": "echo", "system": "Rhyme.", "max_tokens": 9}


def test_long_lines_are_broken_as_a_formatter_does() -> None:
    told = lines("first line\n" + "x" * 100 + "\nlast", "a-model-with-a-name", "y" * 50, {"temperature": 1.0})
    ast.parse(told)
    assert max(map(len, told.splitlines())) < 120
