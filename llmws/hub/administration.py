"""The page where administrators let people in, put them into groups, and show them out.

Reading it changes nothing. Each change is a POST with the hub's XSRF token by somebody in the group of administrators,
asked anew each time: a person who was put out of it is none at once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tornado import web

from ..errors import Conflict, Error, InvalidRequest
from ..store.accounts import Account
from . import pages, sessions
from .roles import ADMINS, GROUPS


class AccountsPage(pages.NavigatedPage):
    """Who waits, and who there is."""

    @web.authenticated
    async def get(self) -> None:
        self._require_administrator()
        await self._list()

    @web.authenticated
    async def post(self) -> None:
        self._require_administrator()
        action, name = self.field("action"), self.field("name")
        try:
            match action:
                case "approve":
                    await self._approve(name, _group(self.field("group")))
                case "refuse":
                    await self._run("refuse", name)
                case "move":
                    await self._move(name, _group(self.field("group")))
                case "disable":
                    await self._disable(name)
                case "enable":
                    await self._run("enable", name)
                case _:
                    raise InvalidRequest("There is no such action.", remedy="Look at the list again.")
        except Error as refused:
            self.set_status(refused.status)
            await self._list(refused)
            return
        self.log.info("%s: %s %s", self.current_user.name, action, name)
        self.redirect(self.request.path, status=303)

    async def _approve(self, name: str, group: str) -> None:
        account = await self._run("approve", name, by=self.current_user.name)
        pages.put_into(self, account.name, group)

    async def _move(self, name: str, group: str) -> None:
        """Another group is another server, so those that run end."""
        self._require_other(name)
        account = await self._run("get", name)
        if account.state != "active":
            raise Conflict("This account has changed meanwhile.", remedy="Look at the list again.")
        user = pages.put_into(self, account.name, group)
        await sessions.stop_servers(self, user)

    async def _disable(self, name: str) -> None:
        self._require_other(name)
        account = await self._run("disable", name)
        user = self.find_user(account.name)
        if user is not None:
            await sessions.end(self, user)

    async def _list(self, refused: Error | None = None) -> None:
        everybody = await self._run("all")
        waiting = [account for account in everybody if account.state == "waiting"]
        people = [(account, self._groups(account)) for account in everybody if account.state != "waiting"]
        told = {"waiting": waiting, "people": people, "groups": GROUPS, "day": _day, "refused": refused}
        await self.show("accounts.html", **told)

    def _groups(self, account: Account) -> list[str]:
        user = self.find_user(account.name)
        return [] if user is None else [group for group in GROUPS if group in pages.groups_of(user)]

    async def _run(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return await self.authenticator.run(getattr(self.authenticator.accounts, method), *args, **kwargs)

    def _require_administrator(self) -> None:
        if not is_administrator(self.current_user):
            raise web.HTTPError(403, "Only administrators see this page.")

    def _require_other(self, name: str) -> None:
        # So that there always is one.
        if name == self.current_user.name:
            raise Conflict("You cannot disable or move yourself.", remedy="Ask another administrator.")


def is_administrator(user: Any) -> bool:
    """Whether a user of the hub is in the group that may do this."""
    return ADMINS in pages.groups_of(user)


def handlers() -> list[tuple[str, Any]]:
    """The routes of this module."""
    return [(r"/accounts", AccountsPage)]


def _day(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M")


def _group(name: str) -> str:
    if name not in GROUPS:
        raise InvalidRequest("There is no such group.", remedy="Choose one of the list.")
    return name
