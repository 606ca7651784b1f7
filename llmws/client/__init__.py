"""All that a kernel talks to: `connect` finds or starts the service, `Client` asks it."""

from .bridge import Bridge, bridge
from .chats import Chat, Chats
from .client import Client, connect

__all__ = ["Bridge", "Chat", "Chats", "Client", "bridge", "connect"]
