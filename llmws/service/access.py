"""Who may do what: the one table of it, and the rule that every route states.

A scope contains those before it (chat ⊂ train ⊂ admin); a runner's stands apart. That a person only sees rows of their
own is the store's part: each of its functions takes the owner.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from ..errors import Forbidden, NotAuthenticated
from ..store.grants import Grant
from .edge import bearer
from .identity import RUNNER, SCOPES, Person

# What each action needs. A route, the metering path and a ticket name an action, never a scope.
NEEDS: dict[str, str] = {
    "read": "chat",
    "chat": "chat",
    "download": "chat",
    "upload": "chat",
    "train": "train",
    "configure": "train",
    "administer": "admin",
    "run jobs": RUNNER,
}


def require(person: Person, action: str) -> None:
    """Raise `Forbidden` unless `person` may do `action`.

    Example:
        >>> require(Person("ada", frozenset({"admin"})), "chat")
        >>> require(Person("ada", frozenset({"chat"})), "train")
        Traceback (most recent call last):
        llmws.errors.Forbidden: Your account may not train. Ask an administrator for the scope train.
    """
    if not may(person, action):
        needed = NEEDS[action]
        raise Forbidden(f"Your account may not {action}.", remedy=f"Ask an administrator for the scope {needed}.")


def may(person: Person, action: str) -> bool:
    """Whether `person` may do `action`, where another answer serves who may not."""
    needed = NEEDS[action]
    granting = SCOPES[SCOPES.index(needed) :] if needed in SCOPES else (needed,)
    return any(scope in person.scopes for scope in granting)


def is_granted(person: Person, owner: str, grants: Iterable[Grant]) -> bool:
    """Whether `person` may use a thing of `owner`: their own, or shared with them or a group of theirs.

    Example:
        >>> grant = Grant("models", "seafarer-1", "group", "researchers", 0.0)
        >>> is_granted(Person("eve", groups=frozenset({"researchers"})), "ada", [grant])
        True
    """
    mine = {("person", person.name), *(("group", group) for group in person.groups)}
    return person.name == owner or any((grant.kind, grant.grantee) in mine for grant in grants)


@dataclass(frozen=True, slots=True)
class Rule:
    """A route's dependency that lets a person in who may do `action`, and names them to the route.

    The token was judged before by `edge.Authentication`; a route without any rule is refused by a test.
    """

    action: str

    async def __call__(self, request: Request) -> Person:
        person: Person | None = request.state.person
        if person is not None and NEEDS[self.action] == "admin":
            # What an administrator does is not done on what the hub said a minute ago.
            person = await request.app.state.identity.person(bearer(request.headers), fresh=True)
        if person is None:
            raise NotAuthenticated("This needs a token.", remedy="Send `Authorization: Bearer TOKEN`.")
        require(person, self.action)
        return person


@dataclass(frozen=True, slots=True)
class Open:
    """The rule of a route that anybody may call; `reason` says why that is harmless."""

    reason: str

    async def __call__(self) -> None:
        return None


Reader = Annotated[Person, Depends(Rule("read"))]
Chatter = Annotated[Person, Depends(Rule("chat"))]
Configurer = Annotated[Person, Depends(Rule("configure"))]
Trainer = Annotated[Person, Depends(Rule("train"))]
RunnerAccount = Annotated[Person, Depends(Rule("run jobs"))]
Administrator = Annotated[Person, Depends(Rule("administer"))]
