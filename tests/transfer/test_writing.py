"""What a conversation becomes as a file: nothing is lost where nothing may be, and nothing in it becomes code."""

from __future__ import annotations

import ast
import base64
import csv
import io
import json
import re
import zipfile
from html.parser import HTMLParser
from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from llmws.messages import Message, Part
from llmws.transfer import archive, markdown, notebook, own, table, web_page
from llmws.transfer.conversations import Conversation, Node
from llmws.transfer.rendering import render

from .conversations import PICTURE, a_conversation, answer, load, nothing

FORMULA = tuple("=+-@\t\r\n＝＋－＠")
# What means something to IPython, to Python, or to a spreadsheet, at the begin of a line or inside it.
SIGNS = (
    *(
        "!ls",
        "%%bash",
        "%time x",
        "?x",
        "x?",
        ">>> import os",
        "  >>> x",
        "... x",
        "In [1]: x",
        "Out[1]: x",
        "/f x",
        ",f x",
    ),
    *(
        '"""',
        "'''",
        '"',
        "'",
        "\\",
        '"); import os #',
        "'); import os #",
        ")",
        "{x}",
        "$HOME",
        "\u202e",
        "\u2028",
        "\0",
    ),
    *("", " ", "\t", "   ", "\x85", "\r", "=1", "+1", "-1", "@x", "＝1", " =1", "\u3000=1"),
)


def lines() -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(SIGNS) | st.text(), max_size=5).map("\n".join) | st.text()


def cells() -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(SIGNS) | st.text(), max_size=3).map("".join) | st.text()


def as_read(cell: str) -> str:
    """A cell as a kernel reads it: IPython changes what it takes for a command or for a prompt."""
    return TransformerManager().transform_cell(cell)


def calls(tree: ast.Module) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """What a cell calls, with which literals; anything else that it does is none of a cell's business."""
    found = []
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            continue
        assert isinstance(statement, ast.Expr | ast.Assign)
        assert isinstance(statement.value, ast.Call)
        call = statement.value
        named = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
        found.append((ast.unparse(call.func), tuple(map(ast.literal_eval, call.args)), named))
    return found


def test_json_holds_all_of_it() -> None:
    told = json.loads("".join(own.write([a_conversation(), a_conversation(id="c2", nodes=(), head_id=None)], load)))
    assert (told["format"], told["version"]) == ("llmws.chats", 1)
    first, second = told["chats"]
    assert [first[name] for name in ("title", "folder", "tags", "pinned", "head_id", "system", "created_at")] == [
        *("Sky", "Physics", ["sky", "天"], True, "a3", "Be brief.", 100.0)
    ]
    assert first["parameters"] == {"temperature": 0.5, "stop": ["END"]}
    kept = a_conversation().nodes
    read = [Node(m["id"], m["parent_id"], Message.from_dict(m["message"]), m["created_at"]) for m in first["messages"]]
    assert tuple(read) == kept
    picture = first["attachments"]["pic1"]
    assert base64.b64decode(picture["data"]) == PICTURE.data
    assert (picture["name"], picture["media_type"]) == ("moon.png", "image/png")
    assert second["messages"] == []
    assert json.loads("".join(own.write([], load)))["chats"] == []
    assert json.loads("".join(own.write([a_conversation()], nothing)))["chats"][0]["attachments"] == {}


def test_markdown_tells_the_branch_that_is_shown() -> None:
    text = "".join(markdown.write(a_conversation()))
    said = ["# Sky", "## System", "Be brief.", "## User", "Why?", "*Attached: moon.png*", "## Assistant (echo)"]
    said += [
        "> Let me\n> think.",
        "It **is**.",
        "## Assistant (smollm2)",
        "Red.",
        "*Cut off",
        "*Not shown: 1 message of",
    ]
    assert re.findall("|".join(map(re.escape, said)), text.replace("## User\n\nAnd", "And")) == said
    assert "Because." not in text
    called = answer("", Part("tool_call", data={"id": "1", "name": "look", "arguments": '{"a": "```"}'}))
    block = "".join(markdown.write(a_conversation(nodes=(Node("1", None, called, 0.0),), head_id="1")))
    assert '*Called look:*\n\n````json\n{\n  "a": "```"\n}\n````' in block


def test_csv_has_a_row_per_message_and_no_formula() -> None:
    evil = Node("q3", "a3", Message.user("=HYPERLINK('http://evil')"), 105.0)
    conversation = a_conversation(nodes=(*a_conversation().nodes, evil), head_id="q3", title=" \t@SUM(A1)")
    text = "".join(table.write([conversation]))
    assert text.startswith("\ufeff")
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
    assert [(row["message_id"], row["shown"]) for row in rows] == [
        *[("q1", "1"), ("a1", "0"), ("a2", "1"), ("q2", "1"), ("a3", "1"), ("q3", "1")]
    ]
    figures = ("input_tokens", "output_tokens", "first_token_s", "tokens_per_s", "cost", "currency", "tokens_source")
    assert [rows[1][name] for name in figures] == ["3", "5", "0.25", "4.0", "0.001", "USD", "provider"]
    assert rows[4]["cost"] == ""
    assert rows[-1]["text"] == "'=HYPERLINK('http://evil')"
    assert all(cell[:1] not in tuple("=+-@\t\r\n") for row in rows for cell in row.values())


@given(cells())
def test_no_cell_of_a_table_is_a_formula(text: str) -> None:
    said = (
        Node("q", None, Message.user(text), 1.0),
        Node("a", "q", answer(text, model=text, error={"message": text}), 2.0),
    )
    told = a_conversation(title=text, folder=text, tags=(text,), nodes=said, head_id="a")
    rows = csv.DictReader(io.StringIO("".join(table.write([told])).removeprefix("\ufeff"), newline=""))
    for row in rows:
        assert all(cell.lstrip(" \u00a0\u3000")[:1] not in FORMULA or not cell.strip() for cell in row.values())
        assert row["text"].removeprefix("'") == text.removeprefix("'")


def test_formulas_in_all_disguises_are_text_in_a_table() -> None:
    starts, before = "=+-@＝＋－＠\t\r", ("", " ", "  ", "\u00a0", "\u3000", " \u3000")
    bodies = (
        "1+1",
        "cmd|'/C calc'!A0",
        "HYPERLINK(A1)",
        "SUM(A1:A9)",
        "WEBSERVICE(A1)",
        "x",
        '"x"',
        ",=1",
        ";=1",
        "\n=1",
    )
    tried = [f"{space}{sign}{body}" for space in before for sign in starts for body in bodies]
    print(f"formulas: {len(tried)} texts")
    assert len(tried) >= 500
    assert [text for text in tried if table.safe(text) != f"'{text}"] == []


@given(lines())
def test_a_cell_asks_what_was_asked_and_does_nothing_else(text: str) -> None:
    asked = (Node("q", None, Message.user(text), 0.0), Node("a", "q", answer("", model=f"{text}2"), 1.0))
    given = a_conversation(title=text, system=text, model=text, nodes=asked, head_id="a")
    book = nbformat.reads("".join(notebook.write(given)), as_version=4)
    begin, question = (ast.parse(as_read(cell.source)) for cell in book.cells[1:])
    titled = {"model": text, **({"title": text, "system": text} if text else {}), "temperature": 0.5, "stop": ["END"]}
    assert calls(begin) == [("llmws.connect", (), {}), ("client.chats.create", (), titled)]
    assert calls(question) == ([("chat.send", (text,), {"model": f"{text}2"})] if text.strip() else [])


def test_a_cell_can_be_read_where_it_says_what_cannot_be_seen() -> None:
    assert notebook.literal("公式 \\frac{1}{2}\u202e\u2028") == r"'公式 \\frac{1}{2}\u202e\u2028'"


def test_a_notebook_is_valid_and_has_a_cell_per_question() -> None:
    book = nbformat.reads("".join(notebook.write(a_conversation(title='<b>Sky</b> "[x](http://evil)'))), as_version=4)
    nbformat.validate(book)
    head, begin, first, second = book.cells
    assert head.source.startswith('# \\<b\\>Sky\\</b\\> "\\[x\\](http://evil)')
    assert 'model="echo"' in begin.source
    assert 'system="Be brief."' in begin.source
    assert "temperature=0.5" in begin.source
    assert first.source == '# It came with 1 attachment(s).\nchat.send("Why?");'
    assert first.outputs[0].data == {"text/html": "<p>It <strong>is</strong>.</p>\n", "text/plain": "It **is**."}
    assert second.source == 'chat.send("And at dusk? 黄昏呢？", model="smollm2");'
    assert second.outputs[0].metadata["llmws"]["model"] == "smollm2"


class Tags(HTMLParser):
    """All tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_html_stands_alone_and_shows_what_was_said() -> None:
    page = "".join(web_page.write(a_conversation(), load))
    for shown in ("<h1>Sky</h1>", "Be brief.", "Thought for 1.5 s", "It <strong>is</strong>.", "黄昏呢", "5 tokens"):
        assert shown in page
    assert "first token 0.25 s · 4 tokens/s · 0.001 USD" in page
    assert "unpriced" in page
    assert "Cut off: it reached its limit" in page
    assert f'src="data:image/png;base64,{base64.b64encode(PICTURE.data).decode()}"' in page
    assert "prefers-color-scheme: dark" in page
    assert "还没" not in page
    assert "思考了 1.5 秒" in "".join(web_page.write(a_conversation(), load, "zh"))
    assert "<script" not in page
    assert "http:" not in page.replace("http://www.w3.org", "")


ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[a](javascript:alert(1))",
    "[a](JaVaScRiPt&colon;alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "![a](https://evil.example/p.png)",
    "![a](data:image/svg+xml;base64,PHN2Zz4=)",
    '<https://x/"onmouseover=alert(1)>',
    '```"><script>alert(1)</script>\nx\n```',
    "```python\n</code></pre><script>alert(1)</script>\n```",
    "</style><script>alert(1)</script>",
    "\\(</code><script>alert(1)</script>\\)",
    "|a|\n|-|\n|<svg onload=alert(1)>|",
    '"><iframe src=//evil>',
]
HARMLESS = {
    "a": {"href", "title", "rel"},
    "code": {"class"},
    "span": {"class"},
    "ol": {"start"},
    "html": {"lang"},
    "meta": {"charset", "http-equiv", "content", "name"},
    "article": {"class", "aria-label"},
    "div": {"class"},
    "p": {"class"},
    "footer": {"class"},
    "time": {"datetime"},
    "img": {"src", "alt"},
}
PLAIN = "head title style body main header h1 details summary pre strong em s table thead tbody tr th td ul li br hr"


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_in_a_page_becomes_markup(attack: str) -> None:
    tool = Part("tool_call", data={"name": attack, "arguments": attack})
    cited = Part("citation", data={"url": attack, "title": attack})
    bad_link = Part("citation", data={"url": "javascript:alert(1)", "title": "x"})
    named = Part("image", data={"attachment": "none", "name": attack})
    failed = {"message": attack}
    said = answer(attack, Part("reasoning", attack), tool, cited, bad_link, named, model=attack, error=failed)
    nodes = (Node("1", None, Message.user(attack), 0.0), Node("2", "1", said, 1.0))
    hostile = Conversation("c", attack, attack, nodes, "2", system=attack)
    page = "".join(web_page.write(hostile, load))
    for tag, attributes in Tags(page).tags:
        assert tag in HARMLESS or tag in PLAIN.split(), tag
        assert set(attributes) <= HARMLESS.get(tag, set()), (tag, attributes)
        if tag == "a":
            assert str(attributes["href"]).startswith(("http:", "https:", "mailto:")), attributes
        assert tag != "img" or str(attributes["src"]).startswith("data:image/png;"), attributes


def test_code_is_highlighted_and_tex_left_as_it_is() -> None:
    assert '<span class="k">def</span>' in render("```python\ndef f(): ...\n```")
    assert "<code>\\(a_b \\text{ and } c_d\\)</code>" in render("Here \\(a_b \\text{ and } c_d\\).")
    assert render("```strange\na < b\n```") == "<pre><code>a &lt; b\n</code></pre>\n"


def test_half_a_character_breaks_nothing() -> None:
    half = a_conversation(nodes=(Node("1", None, answer("a \ud83d b"), 0.0),), head_id="1")
    told = "".join(own.write([half], load)).encode("utf-8", "backslashreplace")
    assert json.loads(told)["chats"][0]["messages"][0]["message"]["parts"][0]["text"] == "a \ud83d b"
    assert "<p>a ? b</p>" in "".join(web_page.write(half, load))


def test_an_archive_is_whole_and_its_names_differ() -> None:
    files = [("Sky.md", 100.0, iter(["one", " more"])), ("sky.md", 2e9, iter(["two"])), ("Ä.md", 0.0, iter([]))]
    packed = b"".join(archive.write(iter(files)))
    with zipfile.ZipFile(io.BytesIO(packed)) as read:
        assert read.testzip() is None
        assert read.namelist() == ["Sky.md", "sky 2.md", "Ä.md"]
        assert read.read("Sky.md") == b"one more"
