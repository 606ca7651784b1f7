"""The pages of the workspace, one widget each, for JupyterLab and Voilà alike.

from llmws import ui
ui.Chat()
"""

from __future__ import annotations

from .chats import Chat
from .page import Page

__all__ = ["Chat", "Page"]
