"""Money in a column: whole numbers of 10⁻¹², exact in sums whatever their order, on every database.

SQLite has no decimals, and doubles would make the total of a month differ from the total of its days. Eight bytes reach
to nine million, more than a row or an hour's sum will ever hold.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Text
from sqlalchemy.types import TypeDecorator

DIGITS = 12


class Amount(TypeDecorator[Decimal]):
    """A `Decimal` of at most `DIGITS` digits after the point."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Any) -> int | None:
        return None if value is None else int(value.scaleb(DIGITS))

    def process_result_value(self, value: Any, dialect: Any) -> Decimal | None:
        # A sum is a number of another type on PostgreSQL.
        return None if value is None else Decimal(int(value)).scaleb(-DIGITS)


class Names(TypeDecorator[tuple[str, ...]]):
    """Names, sorted, as a JSON list: text that can be compared and grouped by."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Any) -> str | None:
        return None if value is None else json.dumps(sorted(value))

    def process_result_value(self, value: str | None, dialect: Any) -> tuple[str, ...] | None:
        return None if value is None else tuple(json.loads(value))
