"""The page folds a stream as `assemble` does, whatever comes in it."""

from __future__ import annotations

import json
import random
import subprocess
from typing import Any

from llmws.messages import StreamEvent, Usage, assemble

from .test_bundle import UI, node

FOLD = """
const { fold } = await import(process.argv[1]);
let text = "";
for await (const chunk of process.stdin) text += chunk;
const folded = JSON.parse(text).map((events) => events.reduce(fold, { role: "assistant" }));
process.stdout.write(JSON.stringify(folded));
"""


def stream(dice: random.Random) -> list[StreamEvent]:
    """A random stream, with marks among its deltas and calls in pieces."""
    events = [StreamEvent("start", model="m")]
    for _ in range(dice.randrange(12)):
        kind: Any = dice.choice(["text", "reasoning"])
        events.append(
            dice.choice(
                [
                    StreamEvent(kind, text=dice.choice(["Hm", " 天"])),
                    StreamEvent(kind, data={"signature": dice.choice("ab"), "wire": "w"}),
                    StreamEvent("tool_call", data={"index": 0, "id": "c", "name": "f", "arguments": "{"}),
                    StreamEvent("tool_call", data={"index": dice.randrange(2), "arguments": "}"}),
                    StreamEvent("warning", text="Careful.", data={"code": "dropped"}),
                    StreamEvent("citation", data={"url": "https://example.com/"}),
                ]
            )
        )
    if dice.random() < 0.5:
        events += [StreamEvent("usage", usage=Usage(3, 2)), StreamEvent("end", finish_reason="stop")]
    return events


def plain(value: Any) -> Any:
    """JSON without what is empty: an absent name, null and the empty text say the same."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: plain(item) for name, item in value.items() if item not in (None, "", {}, [])}


def test_the_page_folds_a_stream_as_python_does() -> None:
    dice = random.Random(4)
    streams = [stream(dice) for _ in range(300)]
    command = [node(), "--input-type=module", "-e", FOLD, (UI / "src" / "messages.js").as_uri()]
    told = json.dumps([[event.to_dict() for event in events] for events in streams])
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=True)
    for events, message in zip(streams, json.loads(done.stdout), strict=True):
        assert plain(message) == plain(assemble(events).to_dict())
