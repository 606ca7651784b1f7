"""Whose token a request carries.

On a laptop there is one person, the account that started the service, and one token, the one in `service.json`. A hub
asks JupyterHub instead (`hub_identity.py`); that is all that differs.
"""

from __future__ import annotations

import os
import pwd
import secrets
from dataclasses import dataclass
from typing import Protocol

SCOPES = ("chat", "train", "admin")
# Apart from these: what carries out jobs. No person has it, and who has it can do nothing else.
RUNNER = "runner"


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks. `name` owns rows; `scopes` is what this token may be used for, a subset of `SCOPES`.

    A program that carries out jobs is one, too, with the scope `RUNNER` alone. A laptop has no `groups`.

    Example:
        >>> "train" in Person("ada", frozenset({"chat"})).scopes
        False
    """

    name: str
    scopes: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()


class Identity(Protocol):
    """Tells who a token belongs to; None where it belongs to nobody (any more)."""

    hosts: frozenset[str] | None
    """The names that a request may have in `Host`; None leaves that check to a proxy in front."""

    revocable: bool
    """Whether a token may end before the service does, so that it has to be looked at again."""

    async def person(self, token: str, fresh: bool = False) -> Person | None: ...

    def reference(self, token: str) -> str:
        """What stands for `token` where the token itself must not be seen; asked for where it is revocable only."""
        ...

    async def referred(self, reference: str) -> Person | None:
        """Whose token a reference stands for; None where it ended, or was never referred to by this process."""
        ...

    async def aclose(self) -> None: ...


class LocalIdentity:
    """The account's owner, known by the token of `service.json`, may do everything a person may.

    Only loopback names are answered: a web page can point a name of its own at 127.0.0.1 (DNS rebinding), but not
    choose what the browser then sends as `Host`.

    Example:
        >>> import asyncio
        >>> asyncio.run(LocalIdentity("secret", "ada").person("wrong")) is None
        True
    """

    hosts: frozenset[str] | None = frozenset({"127.0.0.1", "localhost", "::1"})
    revocable = False

    def __init__(self, token: str, account: str | None = None, runner_token: str | None = None) -> None:
        self._known = [(token.encode(), Person(account or _account(), frozenset(SCOPES)))]
        if runner_token is not None:
            self._known.append((runner_token.encode(), Person("runner", frozenset({RUNNER}))))

    async def person(self, token: str, fresh: bool = False) -> Person | None:
        given = token.encode()
        return next((person for known, person in self._known if secrets.compare_digest(given, known)), None)

    def reference(self, token: str) -> str:
        return ""

    async def referred(self, reference: str) -> Person | None:
        return None

    async def aclose(self) -> None:
        pass


def _account() -> str:
    # Not getpass.getuser(): it believes the environment, and rows would change their owner with $USER.
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"
