"""Who may do what on a hub, in JupyterHub's words: groups, scopes, and what the token in a server carries.

The groups are the hub's own. A scope contains those before it: chat ⊂ train ⊂ admin. See
https://jupyterhub.readthedocs.io/en/stable/rbac/scopes.html
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

BUSINESS, RESEARCHERS, ADMINS = "business", "researchers", "admins"
GROUPS = (BUSINESS, RESEARCHERS, ADMINS)
# The one named server there is. Only its token administers: what an everyday notebook runs must not.
ADMINISTRATION = "admin"

CHAT, TRAIN, ADMIN = "custom:llmws:chat", "custom:llmws:train", "custom:llmws:admin"
SCOPES: dict[str, dict[str, Any]] = {
    CHAT: {"description": "Chat with models"},
    TRAIN: {"description": "Chat with models and fine-tune them", "subscopes": [CHAT]},
    ADMIN: {"description": "Administer llmws", "subscopes": [TRAIN]},
}
_ACCESS = "access:services!service=llmws"
ROLES: list[dict[str, Any]] = [
    {"name": "llmws-business", "scopes": [_ACCESS, CHAT], "groups": [BUSINESS]},
    {"name": "llmws-researchers", "scopes": [_ACCESS, TRAIN], "groups": [RESEARCHERS]},
    {
        "name": "llmws-admins",
        "scopes": [_ACCESS, ADMIN, "admin-ui", "list:users", "admin:users", "admin:groups", "admin:servers"],
        "groups": [ADMINS],
    },
    {
        "name": "idle-culler",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["idle-culler"],
    },
]


def server_token_scopes(name: str, server: str, groups: Collection[str]) -> list[str]:
    """What the token in a person's server may be used for; the hub leaves out what the person has not.

    Example:
        >>> server_token_scopes("ada", "", ["admins"])[-1]
        'custom:llmws:train'
    """
    administrating = server == ADMINISTRATION and ADMINS in groups
    return [
        "users:activity!user",
        f"access:servers!server={name}/{server}",
        _ACCESS,
        ADMIN if administrating else TRAIN,
    ]
