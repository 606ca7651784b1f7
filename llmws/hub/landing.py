"""The page that a business user begins with: the dashboards as cards, and nothing else but a name and a way out.

What a card says stands in its notebook's metadata::

    "llmws": {"title": "Chat", "title_zh": "聊天", "description": "…", "description_zh": "…", "owner": "…", "icon": "…"}

A picture beside the notebook, `chat.png` for `chat.ipynb`, takes the icon's place.
"""

from __future__ import annotations

import base64
import json
import logging
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from http.client import responses
from pathlib import Path
from typing import Any

import jinja2
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web

from .speaking import choose_language, language_of

LOG = logging.getLogger("llmws.hub")
_HERE = Path(__file__).parent
_PICTURES = (".webp", ".png", ".jpg", ".svg")
_LARGEST = 2**20
_POLICY = (
    "default-src 'none'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)


@dataclass(frozen=True, slots=True)
class Card:
    """A dashboard as its card shows it; `path` is the notebook's, below the folder."""

    path: str
    title: str
    description: str
    owner: str
    icon: str
    changed: datetime
    picture: str | None


def cards(folder: Path, language: str = "en") -> list[Card]:
    """The dashboards of `folder`, by title. A notebook that cannot be read is left out, and the log says why.

    So is one whose metadata name another scope than ``chat``: its page would only say what business users may not do.

    Example:
        >>> from llmws.shipped import shipped
        >>> [card.title for card in cards(shipped("notebooks") / "dashboards", "zh")]
        ['对比', '用量', '聊天']
    """
    found = (_card(file, folder, language) for file in sorted(folder.rglob("*.ipynb")) if _is_shown(file, folder))
    return sorted((card for card in found if card is not None), key=lambda card: card.title.casefold())


def without_card(folder: Path) -> list[str]:
    """The notebooks of `folder` that are on no card."""
    shown = {card.path for card in cards(folder)}
    return sorted({file.relative_to(folder).as_posix() for file in folder.rglob("*.ipynb")} - shown)


def is_dashboard(folder: Path, path: str) -> bool:
    """Whether `path`, as an address gives it, is one of the notebooks of `folder`, written as its card writes it."""
    file = folder / path
    plain = path == Path(path).as_posix() and not Path(path).is_absolute() and ".." not in Path(path).parts
    if not plain or file.suffix != ".ipynb" or "\0" in path:
        return False
    return _is_shown(file, folder) and file.resolve().is_relative_to(folder.resolve())


class PageHandler(JupyterHandler):
    """A page of the dashboards' server that is not Voilà's: in the reader's language, without any script."""

    def show(self, template: str, **values: Any) -> None:
        """Answer with a page."""
        language = language_of(self)
        nonce = base64.b64encode(secrets.token_bytes(16)).decode()
        self.set_header("Content-Security-Policy", "; ".join([*_POLICY, f"style-src 'nonce-{nonce}'"]))
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        say = {"language": language, "say": lambda sentence: _say(language, sentence)}
        look = {"style": _style(), "nonce": nonce, "here": self.request.uri}
        self.finish(_environment().get_template(template).render(**say, **look, base_url=self.base_url, **values))

    def write_error(self, status_code: int, **more: Any) -> None:
        problem = (more.get("exc_info") or (None, None))[1]
        told = problem.log_message if isinstance(problem, web.HTTPError) and status_code != 500 else None
        self.show("message.html", title=responses.get(status_code, "Error"), message=told or "")


class LandingHandler(PageHandler):
    """The root of a business user's server."""

    def initialize(self, folder: Path) -> None:
        self._folder = folder

    @web.authenticated
    def get(self) -> None:
        language = language_of(self)
        # Only what was asked for by a page that has it may end a kernel; this is the first page that sets it.
        _ = self.xsrf_token
        sign_out = url_path_join(self.base_url, "logout")
        self.show("landing.html", cards=cards(self._folder, language), name=self.current_user.name, sign_out=sign_out)


class LanguageHandler(PageHandler):
    """Where a language is chosen; it leads back."""

    @web.authenticated
    def get(self) -> None:
        choose_language(self, self.base_url)


class NotFoundHandler(PageHandler):
    """What is nowhere."""

    async def prepare(self, *, _redirect_to_login: Any = True) -> None:
        raise web.HTTPError(404)


@cache
def _style() -> str:
    """What all pages of the hub share, and the cards."""
    sheets = (_HERE / "static" / "tokens.css", _HERE / "static" / "look.css", _HERE / "cards" / "cards.css")
    return "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(_HERE / "cards"), autoescape=True, trim_blocks=True)
    environment.globals["icons"] = ICONS
    environment.filters["day"] = lambda moment: moment.strftime("%Y-%m-%d")
    return environment


def _is_shown(file: Path, folder: Path) -> bool:
    return file.is_file() and not any(part.startswith(".") for part in file.relative_to(folder).parts)


def _card(file: Path, folder: Path, language: str) -> Card | None:
    try:
        if file.stat().st_size > _LARGEST:
            raise ValueError("it is larger than a dashboard should be")
        told = json.loads(file.read_text(encoding="utf-8"))["metadata"].get("llmws", {})
        if not isinstance(told, dict):
            raise ValueError("what its metadata say under llmws is no object")
        changed = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        LOG.warning("the dashboard %s cannot be shown: %s", file, problem)
        return None

    def said(noun: str) -> str:
        return str(told.get(f"{noun}_{language}") or told.get(noun) or "")

    if told.get("scope", "chat") != "chat":
        return None
    title = said("title") or file.stem.replace("-", " ").replace("_", " ").capitalize()
    picture = next((suffix for suffix in _PICTURES if file.with_suffix(suffix).is_file()), None)
    path = file.relative_to(folder).as_posix()
    shown = Path(path).with_suffix(picture).as_posix() if picture else None
    return Card(path, title, said("description"), said("owner"), str(told.get("icon", "")), changed, shown)


def _say(language: str, sentence: str) -> str:
    return CHINESE.get(sentence, sentence) if language == "zh" else sentence


# The quiet ones, drawn as `llmws/ui/src/icons.jsx` draws its own.
ICONS = {
    "bars": "M4 20h16M7 20v-7m5 7V5m5 15v-10",
    "chat": "M5 5h14a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1h-8l-5 4v-4H5a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1Zm3 4h8m-8 3h5",
    "columns": "M5 4h5v16H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1Zm9 0h5a1 1 0 0 1 1 1v14a1 1 0 0 1-1 1h-5Z",
    "curve": "M4 4v15a1 1 0 0 0 1 1h15M8 7c1.500 6 4 8.500 11 9",
    "page": "M7 3h7l4 4v13a1 1 0 0 1-1 1H7a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1Zm7 0v4h4M9.500 12h5m-5 4h5",
}

CHINESE = {
    "Dashboards": "仪表板",
    "Sign out": "退出",
    "Changed": "更新于",
    "There is no dashboard yet. An administrator publishes the first one.": "还没有仪表板。请等待管理员发布。",
    "All dashboards": "所有仪表板",
    "Not Found": "没有此页",
    "There is no such dashboard.": "没有这个仪表板。",
    "Forbidden": "无权访问",
    "Service Unavailable": "暂时无法使用",
    "Too many pages are open. Close one of them, and try again in a minute.": (
        "打开的页面过多。请关闭一些，一分钟后重试。"
    ),
}
