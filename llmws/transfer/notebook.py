"""A conversation as a notebook that replays it: a cell begins the chat, and each question is a cell of its own.

What was answered then stands below its question, as HTML of ours: of Markdown JupyterLab would load the remote images,
and so tell a stranger that the notebook is read. Run again, a cell shows the new answer in its place. The branch that
is shown is replayed; what a person wrote becomes a literal of Python and is never code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ..messages import Message
from .conversations import Conversation
from .rendering import render

# What IPython takes away from lines of a cell, in literals too: prompts that were copied along, and mere spaces.
_TAKEN_AWAY = re.compile(r"^\s*(?:>>>|\.{3}|In ?\[|Out ?\[)|^[ \t]+$", re.MULTILINE)
_MARKUP = re.compile(r"([`*_\[\]<>&#!|~])|([$\\])")
# A tag as the sanitiser writes it, or what begins a formula.
_TEX = re.compile(r"""(<(?:[^">]|"[^"]*")*>)|([$\\]+)""")
_FIGURES = ("model", "usage", "timing", "cost", "currency", "finish_reason")
_HEAD = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def write(conversation: Conversation) -> Iterator[str]:
    """The notebook (nbformat 4.5), cell by cell."""
    yield '{\n "cells": ['
    for index, cell in enumerate(_cells(conversation)):
        told = {"id": f"{index:08x}", "metadata": {}, **cell}
        yield f"{',' if index else ''}\n{json.dumps(told, ensure_ascii=False, indent=1)}"
    yield f'\n ],\n "metadata": {json.dumps(_HEAD)},\n "nbformat": 4,\n "nbformat_minor": 5\n}}\n'


def literal(text: str) -> str:
    """`text` as Python that a person likes to read, and that is `text` whatever stands in it.

    Example:
        >>> print(literal("Why?"), literal('Say "hi".'))
        "Why?" 'Say "hi".'
    """
    legible = text.replace("\n", "").isprintable() and "\\" not in text
    if "\n" in text and legible and not _TAKEN_AWAY.search(text):
        for quotes in ('"""', "'''"):
            if quotes not in text and not text.endswith(quotes[0]) and not text.startswith(quotes[0]):
                return f"{quotes}{text}{quotes}"
    if legible and '"' not in text and "\n" not in text:
        return f'"{text}"'
    # What turns the direction of writing, and else cannot be seen, is written out.
    return repr(text)


def _cells(conversation: Conversation) -> Iterator[dict[str, Any]]:
    title = " ".join(conversation.title.split()) or "Chat"
    note = "Run the cells to have the same questions answered anew; below each stands what was answered then."
    if others := conversation.others():
        note += f" Messages of other branches ({others}) are not replayed."
    # A title is no markup: neither an image of elsewhere, nor a link, nor a formula.
    plain = _MARKUP.sub(lambda sign: f"\\{sign[1]}" if sign[1] else f"<span>&#{ord(sign[2])};</span>", title)
    yield {"cell_type": "markdown", "source": _lines(f"# {plain}\n\n{note}")}
    yield _code(_beginning(conversation), [])
    for question, answers in _turns(conversation):
        yield _code(_question(question, answers, conversation.model), [_output(answer) for answer in answers])


def _turns(conversation: Conversation) -> Iterator[tuple[Message, list[Message]]]:
    """What was asked, each with its answers; those are more than one where tools were called, or an answer went on."""
    turn: tuple[Message, list[Message]] | None = None
    for node in conversation.path():
        if node.message.role == "user":
            if turn is not None:
                yield turn
            turn = node.message, []
        elif turn is not None and node.message.role == "assistant":
            turn[1].append(node.message)
    if turn is not None:
        yield turn


def _beginning(conversation: Conversation) -> str:
    arguments = [f"model={literal(conversation.model)}"]
    if conversation.title:
        arguments.append(f"title={literal(conversation.title)}")
    if conversation.system:
        arguments.append(f"system={literal(conversation.system)}")
    # JSON's values, whose reprs are Python's literals.
    arguments += [f"{name}={value!r}" for name, value in conversation.parameters.to_dict().items()]
    begun = ",\n    ".join(arguments)
    return f"import llmws\n\nclient = llmws.connect()\nchat = client.chats.create(\n    {begun},\n)"


def _question(question: Message, answers: list[Message], model: str) -> str:
    lines = [f"# It came with {len(ids)} attachment(s)." for ids in [question.attachments] if ids]
    if any(part.type == "tool_call" for answer in answers for part in answer.parts):
        lines.append("# Tools were called: pass those functions as tools=[…] to have them called again.")
    if not question.text.strip():
        return "\n".join(lines) or "# Nothing was asked."
    other = next((answer.model for answer in answers if answer.model not in (None, model)), None)
    chosen = f", model={literal(other)}" if other else ""
    # Else the cell would say the answer a second time.
    return "\n".join([*lines, f"chat.send({literal(question.text)}{chosen});"])


def _code(source: str, outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"cell_type": "code", "execution_count": None, "source": _lines(source), "outputs": outputs}


def _output(answer: Message) -> dict[str, Any]:
    told = answer.to_dict()
    figures = {name: told[name] for name in _FIGURES if name in told}
    data = {"text/html": _lines(_untypeset(render(answer.text))), "text/plain": _lines(answer.text)}
    return {"output_type": "display_data", "data": data, "metadata": {"llmws": figures}}


def _untypeset(html: str) -> str:
    """`html` in which JupyterLab finds no formula: its typesetter makes links of `\\href`, also to scripts.

    Example:
        >>> _untypeset('<a href="https://a.example/$">$5</a>')
        '<a href="https://a.example/$"><span>$</span>5</a>'
    """
    return _TEX.sub(lambda found: found[1] or f"<span>{found[2]}</span>", html)


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
