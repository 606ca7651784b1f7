"""Brings a database to the shape that this version knows, from nothing or from an older one.

Every step stands in `migrations/`. All that are due run in one transaction, after a copy of an older database was put
beside it. A database of a newer version, or of another program, is refused and left alone.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from ..errors import StoreError

_FOLDER = Path(__file__).parent / "migrations"


def upgrade(engine: Engine, file: Path, steps: Path = _FOLDER) -> Path | None:
    """Run the steps that `file` has not seen, and return the copy of the older database, where there was one."""
    folder = ScriptDirectory(str(steps), version_locations=[str(steps)])
    current = _current(engine, file)
    if current == folder.get_current_head():
        return None
    if current is not None and current not in {step.revision for step in folder.walk_revisions()}:
        raise StoreError(
            f"The database {file} was written by a newer version of llmws (its schema is {current}).",
            remedy="Upgrade llmws, or choose another data folder with LLMWS_DATA.",
        )
    copy = _copy(engine, file, current) if current is not None else None
    with engine.begin() as connection:
        context = MigrationContext.configure(connection)
        # Newest first, as it comes. `Operations.context` is what `from alembic import op` in a step refers to.
        for step in reversed(list(folder.iterate_revisions("head", current or "base"))):
            with Operations.context(context):
                step.module.upgrade()
            context.stamp(folder, step.revision)
    return copy


def _current(engine: Engine, file: Path) -> str | None:
    with engine.begin() as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
        if revision is None and inspect(connection).get_table_names():
            raise StoreError(
                f"The database {file} belongs to another program.", remedy="Choose another one with LLMWS_DATABASE."
            )
    return revision


def _copy(engine: Engine, file: Path, revision: str) -> Path:
    """A copy of the older database beside it, `<name>.<revision>`, complete or not there at all."""
    copy, aside = (file.with_name(f"{file.name}.{revision}{end}") for end in ("", ".part"))
    aside.unlink(missing_ok=True)
    try:
        # SQLite fills an empty file that is there, and so keeps its rights.
        os.close(os.open(aside, os.O_CREAT | os.O_EXCL, 0o600))
        # By the driver itself: VACUUM cannot run in a transaction, and SQLAlchemy always begins one.
        with closing(engine.raw_connection()) as connection:
            connection.cursor().execute("VACUUM INTO ?", (str(aside),))
        aside.replace(copy)
    finally:
        aside.unlink(missing_ok=True)
    return copy
