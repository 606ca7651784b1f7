"""Lets people into the hub by an OpenID Connect provider, and keeps the hub's own rules about names and groups.

The provider says who somebody is and which of its groups they are in. Names lead to homes and accounts of this
machine, so they have to be names as we make them. A person of the provider and a local account of the same name are
one person, with one uid and one home; who was disabled here stays so, whatever the provider says.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from jupyterhub.handlers.login import LoginHandler
from oauthenticator.generic import GenericOAuthenticator
from tornado import web
from tornado.httpclient import HTTPClientError
from traitlets import Bool, Dict, Unicode

from . import pages, rules, sessions
from .accounts import Accounts
from .roles import GROUPS


class OIDCAuthenticator(GenericOAuthenticator):
    """oauthenticator's own, for a hub of ours. `hub_config/oidc.py` shows how it is configured."""

    folder = Unicode(help="The hub's own folder, where `accounts.db` lies.").tag(config=True)
    groups_claim = Unicode("groups", help="Under which claim the provider lists a person's groups.").tag(config=True)
    groups = Dict(
        {name: name for name in GROUPS},
        help="The provider's groups that mean something here, and the group of the hub that each stands for.",
    ).tag(config=True)
    # Who is in none of these groups can sign in, starts no server, and is told whom to ask.
    allow_all = Bool(True).tag(config=True)
    manage_groups = Bool(True).tag(config=True)
    # What the provider says is looked at again, and so who left a group or the company is noticed.
    enable_auth_state = Bool(True).tag(config=True)

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.accounts = Accounts.open(Path(self.folder))

    def normalize_username(self, username: str) -> str:
        return rules.normal_name(username)

    def validate_username(self, username: str) -> bool:
        return rules.is_name(username)

    async def check_blocked_users(self, username: str, authentication: Any = None) -> bool:
        return not await self._is_disabled(username) and bool(super().check_blocked_users(username, authentication))

    async def get_user_groups(self, auth_state: dict[str, Any]) -> set[str]:
        """The hub's groups that a person is in by what the provider says."""
        told = auth_state[self.user_auth_state_key].get(self.groups_claim)
        if not isinstance(told, list):
            self.log.warning("The provider of identities says nothing under the claim %r.", self.groups_claim)
            return set()
        return {self.groups[name] for name in told if isinstance(name, str) and name in self.groups}

    async def refresh_user(self, user: Any, handler: Any = None, **more: Any) -> Any:
        """Ask the provider again. While it does not answer, people stay who they were."""
        if await self._is_disabled(user.name):
            return False
        try:
            return await super().refresh_user(user, handler, **more)
        except (HTTPClientError, OSError) as problem:
            self.log.warning("The provider of identities does not answer: %s", problem)
            return True

    def get_handlers(self, app: Any) -> list[tuple[Any, ...]]:
        return [*super().get_handlers(app), (r"/login", SignIn), *sessions.handlers(), *pages.handlers()]

    async def _is_disabled(self, name: str) -> bool:
        account = await asyncio.to_thread(self.accounts.find, name)
        return account is not None and account.state == "disabled"


class SignIn(pages.Page, LoginHandler):
    """The page that leads to the provider. Nothing is typed here, so nothing can be sent here."""

    async def post(self) -> None:
        raise web.HTTPError(405)
