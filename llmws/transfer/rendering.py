"""Markdown to HTML where there is no browser: without HTML of its own, highlighted, sanitised.

Pages have a renderer of their own (`ui/src/markdown.js`); this one is for what is read without a script.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from html import escape
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

# Lexers are regular expressions, some of which take for ever on what was made for that: common ones, on little text.
_LANGUAGES = (
    "bash c c++ cpp csharp css diff dockerfile go haskell html ini java javascript js json julia kotlin latex lua"
    " make markdown md perl php powershell python py python3 r ruby rust scala sh shell sql swift toml ts typescript"
    " xml yaml yml"
)
_MOST_HIGHLIGHTED = 20_000
_TAGS = "a blockquote br code del em h1 h2 h3 h4 h5 h6 hr li ol p pre s span strong table tbody td th thead tr ul"
_ATTRIBUTES = {"a": {"href", "title"}, "code": {"class"}, "span": {"class"}, "ol": {"start"}}
# TeX is shown as it was written, rather than with its backslashes and underscores taken for Markdown.
_TEX = re.compile(r"\\\((.+?)\\\)|\\\[(.+?)\\\]|\$\$(.+?)\$\$", re.DOTALL)
_LONGEST_TEX = 2_000


def render(text: str) -> str:
    """`text` as HTML that is safe to show.

    Example:
        >>> render("**Hi** <script>alert(1)</script>")
        '<p><strong>Hi</strong> &lt;script&gt;alert(1)&lt;/script&gt;</p>\\n'
    """
    whole = text.encode("utf-8", "replace").decode()  # half a character is none that a sanitiser reads
    return nh3.clean(
        _markdown().render(whole),
        tags=set(_TAGS.split()),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )


@cache
def _markdown() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": False}).enable(["table", "strikethrough"])
    markdown.inline.ruler.before("escape", "tex", _tex)
    markdown.add_render_rule("fence", _fence)
    markdown.add_render_rule("image", _image)
    return markdown


def _tex(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] not in "\\$":
        return False
    found = _TEX.match(state.src, state.pos, min(state.posMax, state.pos + _LONGEST_TEX))
    if found is None:
        return False
    if not silent:
        state.push("code_inline", "code", 0).content = found[0]
    state.pos = found.end()
    return True


def _fence(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:
    token = tokens[index]
    language = token.info.strip().partition(" ")[0].lower()
    if language not in _LANGUAGES.split() or len(token.content) > _MOST_HIGHLIGHTED:
        return f"<pre><code>{escape(token.content)}</code></pre>\n"
    try:
        inside = highlight(token.content, get_lexer_by_name(language, stripnl=False), HtmlFormatter(nowrap=True))
    except ClassNotFound:
        inside = escape(token.content)
    return f'<pre><code class="highlight">{inside}</code></pre>\n'


def _image(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, environment: Any) -> str:
    token = tokens[index]
    source = str(token.attrGet("src") or "")
    return f'<a href="{escape(source)}">{escape(token.content or source)}</a>'
