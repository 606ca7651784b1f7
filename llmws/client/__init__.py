"""All that a kernel talks to: `connect` finds or starts the service, `Client` asks it."""

from .bridge import Bridge, bridge
from .chats import Chat, Chats
from .client import Client, connect
from .jobs import Job, Jobs

__all__ = ["Bridge", "Chat", "Chats", "Client", "Job", "Jobs", "bridge", "connect"]
