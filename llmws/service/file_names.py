"""Names of files come from people, programs and models: none may lie about itself or leave its folder."""

from __future__ import annotations

from unicodedata import category


def plain(name: str) -> str:
    r"""A file's name without folders, control characters and those that turn the direction of writing.

    Example:
        >>> plain("../a\u202egpj\n.exe"), plain("/")
        ('a gpj .exe', 'file')
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    shown = "".join(" " if category(letter)[0] in "CZ" else letter for letter in last)
    return " ".join(shown.split()) or "file"


def of_title(title: str, suffix: str) -> str:
    r"""A name for a file, as far as `title` can be one.

    Example:
        >>> of_title("../a:b\r\n", ".md")
        'a b.md'
    """
    # Category C: control characters, and those that turn the direction of writing (a `gpj.exe` that reads `exe.jpg`).
    shown = "".join(" " if letter in '/\\:*?"<>|' or category(letter)[0] == "C" else letter for letter in title)
    return (" ".join(shown.split())[:80].strip(" .") or "chat") + suffix
