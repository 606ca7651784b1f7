"""What a listing in a cell is made of: all pages of a route, and a table of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

_PAGE = 100

# A route that answers in pages, asked for so many items at the most, from a cursor on.
Route = Callable[[int, str | None], Awaitable[dict[str, Any]]]


async def listed(route: Route, limit: int | None = None, at_once: int = _PAGE) -> list[dict[str, Any]]:
    """The items of all pages, in their order; of `limit` so many, `at_once` a page."""
    return [item async for page in _pages(route, limit, at_once) for item in page]


async def conversation(route: Route) -> list[dict[str, Any]]:
    """The items of all pages, of which the first has the last, as the messages of a conversation come."""
    pages = [page async for page in _pages(route)]
    return [item for page in reversed(pages) for item in page]


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], times: Iterable[str] = ()) -> pandas.DataFrame:
    """The rows as a DataFrame; `times` are the columns of epoch seconds, which become times with a zone.

    Example:
        >>> table([{"name": "Sky", "at": 0.0, "more": 1}], ["name", "at"], times=["at"]).loc[0].tolist()
        ['Sky', Timestamp('1970-01-01 00:00:00+0000', tz='UTC')]
    """
    import pandas  # half a second that only who asks for a table pays

    frame = pandas.DataFrame(list(rows), columns=list(columns))
    for column in times:
        frame[column] = pandas.to_datetime(frame[column].astype(float), unit="s", utc=True)
    return frame


async def _pages(route: Route, limit: int | None = None, at_once: int = _PAGE) -> AsyncIterator[list[dict[str, Any]]]:
    cursor, found = None, 0
    while limit is None or found < limit:
        told = await route(at_once if limit is None else min(at_once, limit - found), cursor)
        yield told["items"]
        found, cursor = found + len(told["items"]), told["next_cursor"]
        if not cursor:
            return
