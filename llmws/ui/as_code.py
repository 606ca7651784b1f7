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
_UNSET: tuple[Any, ...] = (None, "", (), [], {})
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
        assistant: str | None = None,
        temporary: bool = False,
    ) -> str:
        """The lines for what was asked last in `chat`, or for a first question where there is none yet."""
        if chat is None:
            return lines(
                _NOTHING_ASKED,
                model,
                system,
                parameters or {},
                assistant=await self._assistant(assistant),
                temporary=temporary,
                tools=self.tools_in_code,
            )
        about = await self._api.chat(chat)
        page = await self._api.messages(chat, limit=_LATEST)
        said = [item["message"] for item in page["items"]]
        place = max((place for place, message in enumerate(said) if message.role == "user"), default=None)
        return lines(
            _NOTHING_ASKED if place is None else said[place].text,
            _asked_again(page["items"]) or about["model"],
            about.get("system"),
            about.get("parameters") or {},
            assistant=await self._assistant(about["assistant_id"]),
            temporary=about["temporary"],
            goes_on=chat if place or page["next_cursor"] else None,
            attachments=() if place is None else _attached(said[place]),
            tools=self.tools_in_code,
        )

    async def _assistant(self, id: str | None) -> dict[str, Any] | None:
        """The assistant of this id as `lines` takes it; None where it is gone."""
        known = [] if id is None else await self._api.assistants()
        one = next((one for one in known if one["id"] == id), None)
        if one is None:
            return None
        names = [other["name"] for other in known]
        return {**one, "called": one["name"] if names.count(one["name"]) == 1 else id}


def lines(
    question: str,
    model: str | None,
    system: str | None,
    parameters: Mapping[str, Any],
    *,
    assistant: Mapping[str, Any] | None = None,
    temporary: bool = False,
    goes_on: str | None = None,
    attachments: Sequence[str] = (),
    tools: Sequence[str] = (),
) -> str:
    """Python that asks `question`: in a conversation of its own, or in the one with the id `goes_on`.

    Args:
        assistant: what the conversation is begun with: how it is `called`, its `model`, `system` and `parameters`.
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
    sent = [_literal(question)]
    if attachments:
        sent.append(f"attachments=[{', '.join(map(_literal, attachments))}]")
    if tools:
        sent.append(f"tools=[{', '.join(tools)}]")
    if goes_on is None:
        settings = _settings({"model": model, "system": system, **parameters}, assistant)
        if temporary:
            settings["temporary"] = True
        begun = _call("chat = client.chats.create", _named(settings))
    else:
        begun = f"chat = client.chats.open({_literal(goes_on)})"
        sent += _named(_settings({"model": model, **parameters}))
    asked = _call("message = chat.send", sent)
    return "\n".join(["import llmws", "", "client = llmws.connect()", begun, asked, "message.text", ""])


def _asked_again(items: Sequence[Mapping[str, Any]]) -> str | None:
    """The model that gave the last of `items` in the place of another answer."""
    if not items or items[-1]["message"].role != "assistant" or len(items[-1]["siblings"]) < 2:
        return None
    model: str | None = items[-1]["message"].model
    return model


def _settings(chosen: Mapping[str, Any], assistant: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What is `chosen`, as far as the assistant does not bring it along."""
    wanted = {name: value for name, value in chosen.items() if value not in _UNSET}
    if assistant is None:
        return wanted
    brought = {"model": assistant["model"], "system": assistant["system"], **assistant["parameters"]}
    brought = {name: value for name, value in brought.items() if value not in _UNSET}
    taken_away = brought.keys() - wanted.keys()
    if taken_away - {"system"}:
        # A parameter that the assistant sets can be given another value here, and not be left to the model.
        return wanted
    more = {name: value for name, value in wanted.items() if brought.get(name) != value}
    return {"assistant": assistant["called"], **({"system": ""} if taken_away else {}), **more}


def _named(settings: Mapping[str, Any]) -> list[str]:
    return [f"{name}={_literal(value)}" for name, value in settings.items()]


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
