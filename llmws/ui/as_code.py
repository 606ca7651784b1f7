"""What the chat page just did, as lines of Python that do it again.

Whatever a person typed or named stands in these lines as a literal: nothing of it becomes code, and what cannot be seen
(a sign that turns the reading direction, say) is written out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..client.api import Api
from ..messages import Message
from .page import intent

# What the dialog shows without scrolling.
_WIDTH = 60
_LATEST = 200
_NOTHING_ASKED = "Why is the sky blue?"


class AsCode:
    """Gives a page's browsers the lines; `tools` are the names of the functions that its models may call."""

    _api: Api

    @property
    def tools_in_code(self) -> Sequence[str]:
        return ()

    @intent
    async def code(
        self,
        view: str,
        *,
        chat: str | None = None,
        model: str | None = None,
        system: str | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """The lines for what was asked last in `chat`, or for a first question where there is none yet."""
        if chat is None:
            return lines(_NOTHING_ASKED, model, system, parameters or {}, tools=self.tools_in_code)
        about = await self._api.chat(chat)
        page = await self._api.messages(chat, limit=_LATEST)
        said = [item["message"] for item in page["items"]]
        place = max((place for place, message in enumerate(said) if message.role == "user"), default=None)
        return lines(
            _NOTHING_ASKED if place is None else said[place].text,
            about["model"],
            about.get("system"),
            about.get("parameters") or {},
            goes_on=chat if place or page["next_cursor"] else None,
            attachments=() if place is None else _attached(said[place]),
            tools=self.tools_in_code,
        )


def lines(
    question: str,
    model: str | None,
    system: str | None,
    parameters: Mapping[str, Any],
    *,
    goes_on: str | None = None,
    attachments: Sequence[str] = (),
    tools: Sequence[str] = (),
) -> str:
    """Python that asks `question`: in a conversation of its own, or in the one with the id `goes_on`.

    Args:
        attachments: names of files that were sent along.
        tools: names of functions of the notebook.

    Example:
        >>> print(lines("And at dusk?", "echo", "Be brief.", {"temperature": 0.2}))
        import llmws
        <BLANKLINE>
        client = llmws.connect()
        chat = client.chats.create(
            model="echo",
            system="Be brief.",
            temperature=0.2,
        )
        message = chat.send("And at dusk?")
        message.text
        <BLANKLINE>
    """
    chosen = [f"{name}={_literal(value)}" for name, value in parameters.items() if value not in (None, (), [], {})]
    sent = [_literal(question)]
    if attachments:
        sent.append(f"attachments=[{', '.join(map(_literal, attachments))}]")
    if tools:
        sent.append(f"tools=[{', '.join(tools)}]")
    if goes_on is None:
        settings = [f"{name}={_literal(value)}" for name, value in (("model", model), ("system", system)) if value]
        begun = _call("chat = client.chats.create", settings + chosen)
    else:
        begun = f"chat = client.chats.open({_literal(goes_on)})"
        sent += ([f"model={_literal(model)}"] if model else []) + chosen
    asked = _call("message = chat.send", sent)
    return "\n".join(["import llmws", "", "client = llmws.connect()", begun, asked, "message.text", ""])


def _call(target: str, arguments: Sequence[str]) -> str:
    flat = f"{target}({', '.join(arguments)})"
    if len(flat) <= _WIDTH and "\n" not in flat:
        return flat
    inside = "".join("    " + argument.replace("\n", "\n    ") + ",\n" for argument in arguments)
    return f"{target}(\n{inside})"


def _literal(value: Any) -> str:
    if not isinstance(value, str):
        return repr(value)
    stretches = value.splitlines(keepends=True)
    if len(value) <= _WIDTH - 8 or len(stretches) < 2:
        return _quoted(value)
    # One literal a line; Python joins what stands side by side in brackets.
    return "(\n" + "".join(f"    {_quoted(stretch)}\n" for stretch in stretches) + ")"


def _quoted(text: str) -> str:
    """`repr`, with double quotes where that needs no more escapes."""
    plain = repr(text)
    return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in text and "\\'" not in plain else plain


def _attached(message: Message) -> list[str]:
    names = [part.data.get("name") for part in message.parts if part.type in ("image", "file")]
    return [name for name in names if name]
