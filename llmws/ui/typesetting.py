"""The typesetter of formulas, for pages that show what models write.

With its fonts it weighs three times as much as a page, and most conversations hold no formula. So it is a bundle of its
own, sent over the comm when the first formula is met: that needs no address, and works in any host and offline.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from .page import STATIC, intent


class Typesetting:
    """Gives a page's browsers the typesetter."""

    @intent
    async def typesetter(self, view: str) -> dict[str, Any]:
        """Its front-end module, and the style with the fonts."""
        return {"module": _bundle("js"), "style": _bundle("css")}


@cache
def _bundle(kind: str) -> str:
    return (STATIC / f"typeset.{kind}").read_text(encoding="utf-8")
