"""Ends what a person has open on the hub: sign-ins, tokens and servers. What was queued for training goes on."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyterhub import orm
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.utils import new_token
from tornado import web

from .pages import NavigatedPage


async def end(handler: BaseHandler, user: Any) -> None:
    """Sign `user` out everywhere, at once, and stop their servers, which may take some seconds."""
    _forget(handler, user)
    for token in list(user.orm_user.api_tokens):
        handler.db.delete(token)
    handler.db.commit()
    await stop_servers(handler, user)


def end_others(handler: BaseHandler, user: Any) -> None:
    """Sign `user` out in every browser but the one that asks. Servers and tokens of their own stay."""
    _forget(handler, user)
    here = handler.get_session_cookie()
    for token in list(user.orm_user.api_tokens):
        if token.session_id is not None and token.session_id != here:
            handler.db.delete(token)
    handler.db.commit()
    handler.set_login_cookie(user)


async def stop_servers(handler: BaseHandler, user: Any) -> None:
    """Stop all that run, and break off those that start."""
    names = [name for name, spawner in list(user.spawners.items()) if spawner.active]
    ended = await asyncio.gather(*(_stop(handler, user, name) for name in names), return_exceptions=True)
    for name, failure in zip(names, ended, strict=True):
        if isinstance(failure, Exception):
            handler.log.error("The server %s:%s could not be stopped: %s", user.name, name, failure)


class SignOutEverywhere(NavigatedPage):
    """Ends all that whoever asks has open, here and in other browsers."""

    async def post(self) -> None:
        user = self.current_user
        if user is not None:
            await end(self, user)
            self.log.info("Signed out everywhere: %s", user.name)
        self.clear_login_cookie()
        self._jupyterhub_user = None
        self.redirect(self.settings["login_url"], status=303)


class Stop(NavigatedPage):
    """Stops the servers of whoever asks."""

    @web.authenticated
    async def post(self) -> None:
        await stop_servers(self, self.current_user)
        self.redirect(f"{self.hub.base_url}home", status=303)


def handlers() -> list[tuple[str, Any]]:
    """The routes of this module, of use whatever authenticator there is."""
    return [(r"/sign-out-everywhere", SignOutEverywhere), (r"/stop", Stop)]


def _forget(handler: BaseHandler, user: Any) -> None:
    """Let no cookie of the hub, and no code on its way to becoming a token, be this person's any more."""
    user.orm_user.cookie_id = new_token()
    for code in handler.db.query(orm.OAuthCode).filter_by(user_id=user.orm_user.id):
        handler.db.delete(code)


async def _stop(handler: BaseHandler, user: Any, name: str) -> None:
    spawner = user.spawners[name]
    if spawner.pending == "stop":
        await asyncio.wait([spawner._stop_future])
        return
    if spawner.pending:
        # As the hub itself breaks off a start (`UserServerAPIHandler.delete`).
        if spawner._spawn_future is not None:
            spawner._spawn_future.cancel()
        await asyncio.sleep(1)
    if spawner.active and not spawner.pending:
        await handler.stop_single_user(user, name)
