"""Lets people into the hub by an account of ours: a name, a password, and an administrator's approval.

It asks `Accounts`, and says nothing that would tell an unknown name from a known one. The groups are the hub's own;
what they allow stands in the hub's configuration.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from jupyterhub.auth import Authenticator
from jupyterhub.handlers.base import BaseHandler
from tornado import web
from traitlets import Bool, Integer, Unicode

from ..errors import Error
from . import administration, first, pages, rules, sessions, sign_in
from .accounts import Accounts

# A hash takes 64 MiB and a core: two at a time, whoever asks, leave the rest to those who are signed in.
AT_A_TIME = 2
REFRESH_S = 60

_IN_SECONDS = "There were too many attempts. Try again in a few seconds."
_IN_MINUTES = "There were too many attempts. Try again in a few minutes."

P = ParamSpec("P")
T = TypeVar("T")


class AccountsAuthenticator(Authenticator):
    """Signs in who has an active account; nobody else, whatever the hub's database says of them.

    Example, in `jupyterhub_config.py`::

        c.JupyterHub.authenticator_class = AccountsAuthenticator
        c.AccountsAuthenticator.folder = "/var/lib/llmws/hub"
        c.JupyterHub.template_paths = [str(pages.TEMPLATES)]
        c.JupyterHub.template_vars = pages.template_vars()
    """

    folder = Unicode(help="The hub's own folder, where `accounts.db` lies.").tag(config=True)
    # Who may sign in is what `authenticate` answers; the hub asks no second list.
    allow_all = Bool(True).tag(config=True)
    # A disabled account ends within a minute even where its sessions were not ended, and cannot start a server.
    auth_refresh_age = Integer(REFRESH_S).tag(config=True)
    refresh_pre_spawn = Bool(True).tag(config=True)

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.accounts = Accounts.open(Path(self.folder))
        self._hashing = ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="hashing")

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`function(…)`, one that asks the database, in a thread."""
        return await asyncio.to_thread(function, *args, **kwargs)

    async def run_hashing(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`function(…)`, one that also computes a hash, when it is its turn."""
        return await asyncio.get_running_loop().run_in_executor(self._hashing, partial(function, *args, **kwargs))

    async def authenticate(self, handler: BaseHandler, data: Any) -> str | None:
        """The name of who signed in, or None; HTTP 429 where there were too many attempts.

        `data` has `username` and `password`, and what it says may be anything: the hub's API hands on its body.
        """
        given = data if isinstance(data, dict) else {}
        name, password = (str(given.get(field, "")) for field in ("username", "password"))
        device = sign_in.device_of(handler, rules.normal_name(name))
        outcome = await self.run_hashing(self.accounts.verify, name, password, pages.address_of(handler), device)
        if outcome.refused_s:
            raise TooManyAttempts(outcome.refused_s)
        if outcome.wait_s:
            await asyncio.sleep(outcome.wait_s)
        return outcome.name

    async def refresh_user(self, user: Any, handler: BaseHandler | None = None) -> bool:
        """Whether this person may still be signed in."""
        return await self.run(self.accounts.is_active, user.name)

    def normalize_username(self, username: str) -> str:
        return rules.normal_name(username)

    def validate_username(self, username: str) -> bool:
        return rules.is_name(username)

    def delete_user(self, user: Any) -> None:
        """Who is deleted from the hub's list of users signs in no more; an administrator may enable them again."""
        super().delete_user(user)
        try:
            self.accounts.disable(user.name)
        except Error as refused:
            self.log.info("%s had no account to disable: %s", user.name, refused)

    def get_handlers(self, app: Any) -> list[tuple[Any, ...]]:
        ours = (sign_in, first, administration, sessions, pages)
        return [route for module in ours for route in module.handlers()]


class TooManyAttempts(web.HTTPError):
    """The answer to an attempt that was not looked at."""

    def __init__(self, refused_s: float) -> None:
        super().__init__(429, _IN_SECONDS if refused_s < 60 else _IN_MINUTES)
        # The hub's error page sends them along.
        self.headers = {"Retry-After": str(int(refused_s) + 1)}
