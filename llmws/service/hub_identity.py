"""Whose token a request carries, on a hub: JupyterHub is asked, and believed for a short while.

The hub's API is described at https://jupyterhub.readthedocs.io/en/stable/reference/rest-api.html (`GET /user`). Its own
`HubAuth` keeps a refusal for five minutes, so that a token that was just made would not work; and it is written for
handlers of tornado.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from typing import Any

from .. import http
from ..errors import Unavailable
from ..settings import HubService
from .identity import RUNNER, SCOPES, Person

# How long an answer of the hub is believed, and how long a refusal.
FRESH_S, REFUSED_S = 60.0, 5.0
# Tokens that are remembered: refusals of made-up ones must not fill the memory.
MOST_KNOWN = 10_000
_LIMIT_S = 10.0
_SCOPE = "custom:llmws:"


class HubIdentity:
    """People by the tokens of their servers, of their pages or of their own making; the runner by the one it was given.

    A token that may not use this service (``access:services!service=llmws``) is nobody's here, and neither is another
    service's: the rows of a service would be a person's of the same name.

    Args:
        hub: where the hub's API is, and what this service is there.
        runner_token: what the hub's runner shows.
    """

    hosts: frozenset[str] | None = None
    revocable = True

    def __init__(self, hub: HubService, runner_token: str | None) -> None:
        self._api = http.new_client(hub.api_url, idle_s=_LIMIT_S, proxies=False)
        self._needed = ("access:services", f"access:services!service={hub.name}")
        self._runner_token = runner_token.encode() if runner_token else None
        self._known: dict[bytes, tuple[float, Person | None]] = {}
        self._referred: dict[str, str] = {}
        self._asking: dict[bytes, asyncio.Task[Person | None]] = {}

    async def person(self, token: str, fresh: bool = False) -> Person | None:
        """Whose `token` it is; `fresh` asks the hub whatever it said before.

        Raises:
            Unavailable: the hub does not answer, and what it said before is too old.
        """
        if self._runner_token is not None and secrets.compare_digest(token.encode(), self._runner_token):
            return Person("runner", frozenset({RUNNER}))
        if not token.isascii():
            return None  # no token of the hub's; it could not even be asked for this one
        key = hashlib.sha256(token.encode()).digest()
        until, person = self._known.get(key, (0.0, None))
        if until > time.monotonic() and not fresh:
            return person
        if (asking := self._asking.get(key)) is None:
            asking = self._asking[key] = asyncio.create_task(self._ask(key, token))
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        # Whoever hangs up must not take the answer away from those who wait for the same.
        return await asyncio.shield(asking)

    def reference(self, token: str) -> str:
        reference = hashlib.sha256(token.encode()).hexdigest()[:32]
        _make_room(self._referred, reference)
        self._referred[reference] = token
        return reference

    async def referred(self, reference: str) -> Person | None:
        token = self._referred.get(reference)
        return None if token is None else await self.person(token)

    async def aclose(self) -> None:
        await self._api.aclose()

    async def _ask(self, key: bytes, token: str) -> Person | None:
        try:
            response = await self._api.get("/user", headers={"Authorization": f"token {token}"})
        except (http.HTTPError, ValueError) as problem:
            raise Unavailable("The hub does not answer.", remedy="Try again in a moment.") from problem
        if response.status_code in (401, 403, 404):
            person = None
        elif response.status_code == 200:
            person = self._person(_told(response))
        else:
            raise Unavailable(f"The hub answered {response.status_code}.", remedy="Try again in a moment.")
        _make_room(self._known, key)
        self._known[key] = (time.monotonic() + (FRESH_S if person is not None else REFUSED_S), person)
        return person

    def _person(self, told: dict[str, Any]) -> Person | None:
        granted = told.get("scopes", ())
        if told.get("kind") != "user" or not any(scope in granted for scope in self._needed):
            return None
        ours = {scope.partition("!")[0].removeprefix(_SCOPE) for scope in granted if scope.startswith(_SCOPE)}
        return Person(str(told["name"]), frozenset(ours & set(SCOPES)), frozenset(told.get("groups") or ()))


def _told(response: http.Response) -> dict[str, Any]:
    try:
        told = response.json()
    except ValueError:
        told = None
    if not isinstance(told, dict):  # a page of something that stands in front of it
        raise Unavailable("The hub does not answer.", remedy="Try again in a moment.")
    return told


def _make_room(kept: dict[Any, Any], key: Any) -> None:
    """Let what is kept last be kept longest, and not more than `MOST_KNOWN`."""
    kept.pop(key, None)
    while len(kept) >= MOST_KNOWN:
        del kept[next(iter(kept))]
