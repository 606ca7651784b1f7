"""Signing in and up, and changing one's password: pages of forms, changed by POST with the hub's XSRF token alone."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from typing import Any

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.login import LoginHandler
from tornado import web

from ..errors import Error, NotAuthenticated
from . import pages, rules, sessions

DEVICE_COOKIE = "llmws-device"
DEVICE_DAYS = 90

_WRONG = "Name or password is wrong, or the account has not been approved."


def device_of(handler: BaseHandler, name: str) -> str | None:
    """What this browser is called that has signed in to the account `name` before, by the cookie it then was given."""
    kept = handler.get_secure_cookie(DEVICE_COOKIE, max_age_days=DEVICE_DAYS)
    owner, _, device = (kept or b"").decode("ascii", "replace").rpartition(":")
    return device if name and owner == name else None


class SignIn(pages.Page, LoginHandler):
    """The hub's sign-in page. A form that was refused is shown again, with what was wrong."""

    async def post(self) -> None:
        typed = {"username": self.field("username"), "password": self.field("password")}
        # Not `login_user`, which logs what was typed as a name; people type their password there at times.
        known = await self.authenticate(typed)
        if known is None:
            self.log.warning("Refused to sign somebody in from %s", pages.address_of(self))
            self.set_status(403)
            self.finish(await self._render(login_error=_WRONG, username=typed["username"][: rules.NAME_LONGEST]))
            return
        await enter(self, known)
        self.redirect(self.get_next_url(self.current_user))


class SignUp(pages.NavigatedPage):
    """Asks for an account."""

    async def get(self) -> None:
        await self.show("signup.html")

    async def post(self) -> None:
        name, authenticator = self.field("username"), self.authenticator
        sign_up = partial(authenticator.accounts.sign_up, address=pages.address_of(self), taken=self._is_taken(name))
        try:
            await authenticator.run_hashing(sign_up, name, self.field("password"))
        except Error as refused:
            self.set_status(refused.status)
            await self.show("signup.html", refused=refused, username=name[: rules.NAME_LONGEST])
            return
        self.log.info("An account was asked for: %s", rules.normal_name(name))
        await self.show("signup.html", asked=True)

    def _is_taken(self, name: str) -> bool:
        # Who the hub knows already, by its configuration or an administrator's hand, is nobody's to claim.
        name = rules.normal_name(name)
        return name in self.authenticator.admin_users or self.find_user(name) is not None


class Password(pages.NavigatedPage):
    """Changes one's own password, and signs out every other browser."""

    @web.authenticated
    async def get(self) -> None:
        account = await self.authenticator.run(self.authenticator.accounts.find, self.current_user.name)
        await self.show("password.html", elsewhere=account is None or account.password_hash is None)

    @web.authenticated
    async def post(self) -> None:
        user, authenticator = self.current_user, self.authenticator
        try:
            rules.check_new_password(self.field("new"), user.name)
            if await self.authenticate({"username": user.name, "password": self.field("present")}) is None:
                raise NotAuthenticated("This is not your present password.")
            await authenticator.run_hashing(authenticator.accounts.set_password, user.name, self.field("new"))
        except Error as refused:
            self.set_status(403 if refused.status == 401 else refused.status)
            await self.show("password.html", refused=refused)
            return
        sessions.end_others(self, user)
        self.log.info("A password was changed: %s", user.name)
        await self.show("password.html", changed=True)


async def enter(handler: BaseHandler, authenticated: dict[str, Any]) -> None:
    """Sign in who was authenticated, in the browser that asks, which is known to the account from now on."""
    user = await handler.auth_to_user(authenticated)
    handler.set_login_cookie(user)
    user._auth_refreshed = asyncio.get_running_loop().time()
    if device_of(handler, user.name) is None:
        handler._set_cookie(
            DEVICE_COOKIE,
            f"{user.name}:{secrets.token_hex(16)}",
            path=handler.hub.base_url,
            expires_days=DEVICE_DAYS,
            samesite="Lax",
        )
    handler.log.info("Signed in: %s", user.name)


def handlers() -> list[tuple[str, Any]]:
    """The routes of this module."""
    return [(r"/login", SignIn), (r"/signup", SignUp), (r"/password", Password)]
