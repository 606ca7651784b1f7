"""The pages of the workspace, one widget each, for JupyterLab and Voilà alike.

from llmws import ui
ui.Chat(); ui.FineTune(); ui.Compare(); ui.Providers()
"""

from __future__ import annotations

from .chats import Chat
from .compare import Compare
from .finetune import FineTune
from .page import Page
from .providers import Providers

__all__ = ["Chat", "Compare", "FineTune", "Page", "Providers"]
