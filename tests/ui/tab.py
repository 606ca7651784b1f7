"""A tab of a browser, as a page in the kernel sees it: what it asks, and what reaches it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from llmws import ui

VIEW = "0123456789abcdef"


class Browser:
    """A tab: what it asks, and what reaches it."""

    def __init__(self, page: ui.Page, sent: list[dict[str, Any]]) -> None:
        self.page = page
        self.sent = sent
        self.requests = 100

    def post(self, content: Any) -> None:
        """Let the page have any message, as the kernel hands it over."""
        self.page._handle_custom_msg(content, [])

    def ask(self, intent: str, view: str = VIEW, **values: Any) -> dict[str, Any]:
        """Ask for an intent and wait for the reply."""
        self.requests += 1
        request = self.requests
        self.post({"intent": intent, "view": view, "request": request, "values": values})
        return self.wait(lambda message: message["type"] == "reply" and message["request"] == request)

    def wait(self, wanted: Callable[[dict[str, Any]], bool], limit_s: float = 10) -> dict[str, Any]:
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            for message in list(self.sent):
                if wanted(message):
                    return message
            time.sleep(0.005)
        raise AssertionError(f"nothing like it came; there came {self.sent}")

    def of(self, type: str) -> list[dict[str, Any]]:
        return [message for message in self.sent if message["type"] == type]

    def text(self) -> str:
        """What all deltas said together."""
        events = [event for deltas in self.of("deltas") for _, batch in deltas["streams"] for event in batch]
        return "".join(event.get("text", "") for event in events if event["type"] == "text")

    def ended(self) -> dict[str, Any]:
        return self.wait(
            lambda message: (
                message["type"] == "deltas" and any(batch[-1]["type"] == "end" for _, batch in message["streams"])
            )
        )
