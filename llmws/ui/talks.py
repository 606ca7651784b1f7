"""Chat pages that another page shows in its place: one for each model that somebody wants to talk to."""

from __future__ import annotations

from .chats import Chat
from .page import Page


class Talks:
    """Makes them, once each, with the look of the page that they stand on."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._chats: dict[str, Chat] = {}

    def widget(self, model: str) -> str:
        """The id of the widget that talks with `model`, for the browser to show."""
        if model not in self._chats:
            page = self._page
            self._chats[model] = Chat(page.client, model=model, language=page.language, theme=page.theme)
        return str(self._chats[model].model_id)
