"""In which language a page of the hub speaks: what was chosen here before, else what the browser prefers.

The choice is a cookie that the pages of notebooks and dashboards read and write, too (`ui/src/page.js`).
"""

from __future__ import annotations

from tornado.web import RequestHandler

from . import words

COOKIE = "llmws-language"
_DAYS = 365


def language_of(handler: RequestHandler) -> str:
    """The language of who asks."""
    chosen = handler.get_cookie(COOKIE, "")
    return chosen if chosen in words.LANGUAGES else words.language(handler.request.headers.get("Accept-Language", ""))


def choose_language(handler: RequestHandler, base_url: str) -> None:
    """Remember the language ``to`` of a request, and lead back to the page ``next``, which is one below `base_url`."""
    to, way = handler.get_query_argument("to", ""), handler.get_query_argument("next", "")
    if to in words.LANGUAGES:
        secure = handler.request.protocol == "https"
        handler.set_cookie(COOKIE, to, path="/", expires_days=_DAYS, samesite="Lax", secure=secure)
    handler.redirect(way if _is_below(way, base_url) else base_url)


def _is_below(way: str, base_url: str) -> bool:
    # A browser reads "//host" and "/\host" as another host's, and leaves out control characters.
    return way.startswith(base_url) and way.isprintable() and not way.startswith(("//", "/\\"))
