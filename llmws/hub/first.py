"""The first administrator, who nobody could approve: made by a link that works once, for a day, while there is none.

Only who reads the terminal of the hub has the link, and the database has only a digest of its code. Opening the link
changes nothing; the form on the page uses it up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jupyterhub import orm

from ..errors import Conflict, Error
from . import pages, rules, sign_in
from .accounts import Accounts
from .roles import ADMINS

_MEMBERS = """
SELECT users.name FROM users
JOIN user_group_map ON user_group_map.user_id = users.id
JOIN groups ON groups.id = user_group_map.group_id
WHERE groups.name = ?
"""


def link(folder: Path) -> str | None:
    """A new link for the first administrator, from `/hub/` on; None where an administrator can sign in.

    Args:
        folder: the hub's own, with `jupyterhub.sqlite` and `accounts.db` in it. The hub may be running.
    """
    accounts = Accounts.open(folder)
    try:
        if _can_sign_in(accounts, _members(folder / "jupyterhub.sqlite")):
            return None
        return f"/hub/first?{urlencode({'code': accounts.offer_code()})}"
    finally:
        accounts.close()


class First(pages.NavigatedPage):
    """Makes the first administrator."""

    async def get(self) -> None:
        code = self.get_query_argument("code", "")
        accounts = self.authenticator.accounts
        if not await self.authenticator.run(accounts.is_offered, code):
            self.set_status(403)
            await self.show("first.html", void=True)
            return
        await self.show("first.html", code=code)

    async def post(self) -> None:
        code, name, password = self.field("code"), self.field("username"), self.field("password")
        authenticator = self.authenticator
        try:
            if await authenticator.run(_can_sign_in, authenticator.accounts, self._administrators()):
                raise Conflict("This hub has an administrator.", remedy="Ask them for an account.")
            if self.find_user(rules.normal_name(name)) is not None:
                raise Conflict("This name cannot be used.", remedy="Choose another one.")
            account = await authenticator.run_hashing(authenticator.accounts.use_code, code, name, password)
        except Error as refused:
            self.set_status(403 if refused.status == 401 else refused.status)
            await self.show("first.html", code=code, refused=refused, username=name[: rules.NAME_LONGEST])
            return
        pages.put_into(self, account.name, ADMINS)
        self.log.info("The first administrator is %s", account.name)
        await sign_in.enter(self, {"name": account.name})
        self.redirect(f"{self.hub.base_url}accounts", status=303)

    def _administrators(self) -> list[str]:
        group = orm.Group.find(self.db, ADMINS)
        return [] if group is None else [user.name for user in group.users]


def handlers() -> list[tuple[str, Any]]:
    """The routes of this module."""
    return [(r"/first", First)]


def _can_sign_in(accounts: Accounts, names: Iterable[str]) -> bool:
    return any(accounts.is_active(name) for name in names)


def _members(file: Path) -> list[str]:
    if not file.exists():
        return []
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'user_group_map'").fetchone() is None:
            return []
        return [name for (name,) in connection.execute(_MEMBERS, [ADMINS])]
