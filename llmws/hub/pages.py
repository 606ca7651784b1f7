"""What the hub's own pages share: their look, their language, and what a browser may do with them.

The pages need no script, and their Content-Security-Policy allows none. They are made for being navigated to: a
script that fetches one, on whatever page of this origin it runs, gets nothing.
"""

from __future__ import annotations

from functools import cached_property, partial
from pathlib import Path
from typing import Any

from jupyterhub import orm
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.pages import HomeHandler, SpawnHandler, SpawnPendingHandler
from jupyterhub.handlers.static import CacheControlStaticFilesHandler
from tornado import web

from . import words
from .roles import ADMINS, GROUPS
from .speaking import choose_language, language_of

_HERE = Path(__file__).parent
TEMPLATES = _HERE / "templates"
_STATIC = _HERE / "static"


class Spoken(BaseHandler):
    """A page in the language of who reads it."""

    @cached_property
    def language(self) -> str:
        return language_of(self)

    @property
    def template_namespace(self) -> dict[str, Any]:
        return super().template_namespace | _said_in(self.language) | {"here": self.request.uri}


class Page(Spoken):
    """A page of our own: no script, no frame, no copy kept, no address told to others."""

    @property
    def content_security_policy(self) -> str:
        rules = ["default-src 'none'", "style-src 'self'", "img-src 'self'", "base-uri 'none'"]
        if not self.subdomain_host:
            # A sign-in leads on to a person's own server, which with subdomains is another origin.
            rules.append("form-action 'self'")
        return "; ".join([*rules, super().content_security_policy])

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Content-Type-Options", "nosniff")

    async def show(self, template: str, **values: Any) -> None:
        """Answer with a page."""
        self.finish(await self.render_template(template, **values))

    def field(self, name: str) -> str:
        """What a form says in this field, as it was typed, or an empty string."""
        return self.get_body_argument(name, "", strip=False)


class NavigatedPage(Page):
    """A page that is of no use to a script: only a person's own navigation gets it."""

    async def prepare(self) -> None:
        await super().prepare()
        # https://www.w3.org/TR/fetch-metadata/: a browser that says nothing (on plain HTTP) is left to XSRF alone.
        headers = self.request.headers
        if headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
            raise web.HTTPError(403, "This page can only be opened in a browser.")
        if self.request.method == "POST" and headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise web.HTTPError(403, "This form was sent from another page.")


class SpawnPage(Spoken, SpawnHandler):
    """The page that starts a server, in the language of who reads it; it is where who is in no group ends up."""


class HomePage(Page, HomeHandler):
    """The hub's home page, likewise."""


class LanguagePage(NavigatedPage):
    """Where a language is chosen; it leads back."""

    def get(self) -> None:
        choose_language(self, self.hub.base_url)


class SpawnPendingPage(Spoken, SpawnPendingHandler):
    """The page that waits for a server, likewise."""


def template_vars() -> dict[str, Any]:
    """What our templates need on the hub's other pages, which know of no language; for `JupyterHub.template_vars`."""
    # The hub calls what it can call with the user who is signed in.
    return {name: _constant(value) for name, value in _said_in("en").items()} | {
        "in_a_group": _in_a_group,
        "administrators": _administrators,
    }


def handlers() -> list[tuple[Any, ...]]:
    """The routes of look and language."""
    return [
        (r"/look/(.*)", CacheControlStaticFilesHandler, {"path": str(_STATIC)}),
        (r"/language", LanguagePage),
        (r"/home", HomePage),
        (r"/spawn", SpawnPage),
        (r"/spawn/([^/]+)", SpawnPage),
        (r"/spawn/([^/]+)/([^/]+)", SpawnPage),
        (r"/spawn-pending/([^/]+)", SpawnPendingPage),
        (r"/spawn-pending/([^/]+)/([^/]+)", SpawnPendingPage),
    ]


def address_of(handler: BaseHandler) -> str:
    """Where a request comes from, as the nearest proxy that is not ours to trust has it.

    Tornado's `remote_ip` believes `X-Real-Ip` first, which the hub's proxy hands on as the browser sent it.
    """
    request = handler.request
    hops = [hop.strip() for hop in ",".join(request.headers.get_list("X-Forwarded-For")).split(",") if hop.strip()]
    if not hops:
        return str(getattr(request.connection.context, "_orig_remote_ip", request.remote_ip))
    trusted = handler.app.trusted_downstream_ips
    return next((hop for hop in reversed(hops) if hop not in trusted), hops[0])


def groups_of(user: Any) -> set[str]:
    """The names of the groups of ours that a user of the hub is in."""
    return {group.name for group in user.groups} & set(GROUPS)


def put_into(handler: BaseHandler, name: str, group: str) -> Any:
    """Make `group` the one group of ours that this person is in; return the hub's user, made where there is none."""
    user = handler.user_from_username(name)
    user.sync_groups([*({other.name for other in user.groups} - set(GROUPS)), group])
    return user


def _said_in(language: str) -> dict[str, Any]:
    return {"language": language, "say": partial(words.say, language)}


def _constant(value: Any) -> Any:
    return lambda user: value


def _administrators(user: Any) -> list[str]:
    """Whom somebody who is in no group can ask; who is not signed in is told nobody's name."""
    group = orm.Group.find(user.db, ADMINS) if user is not None else None
    return sorted(member.name for member in group.users) if group is not None else []


def _in_a_group(user: Any) -> bool:
    return user is not None and bool(groups_of(user))
