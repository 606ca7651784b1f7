"""The steps that bring a database to the shape that this version knows, from nothing or from an older one.

Every step stands in `migrations/`. When they run, and in how many transactions, is each database's own affair:
`sqlite.py`, `postgresql.py`. A database of a newer version, or of another program, is refused and left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, inspect

from ..errors import StoreError
from . import tables

FOLDER = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Step:
    """One migration: `revision` names it, `about` says what it is for."""

    script: Script
    folder: ScriptDirectory

    @property
    def revision(self) -> str:
        return self.script.revision

    @property
    def about(self) -> str:
        return (self.script.doc or "").strip()

    def run(self, connection: Connection) -> None:
        """Migrate and take note of it, within the transaction that `connection` is in."""
        context = MigrationContext.configure(connection)
        # `Operations.context` is what `from alembic import op` in a step refers to.
        with Operations.context(context):
            self.script.module.upgrade()
        context.stamp(self.folder, self.revision)


def revision(connection: Connection) -> str | None:
    """The last step that the database has seen; None where it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def due(connection: Connection, name: str) -> list[Step]:
    """The steps that the database has not seen, oldest first; `name` is what messages call it.

    Raises:
        StoreError: it belongs to a newer version or to another program.
    """
    folder = ScriptDirectory(str(FOLDER), version_locations=[str(FOLDER)])
    current = revision(connection)
    if current not in {None, *(script.revision for script in folder.walk_revisions())} or current is None:
        _refuse_what_is_not_ours(connection, name, current)
    # Newest first, as it comes.
    scripts = reversed(list(folder.iterate_revisions("head", current or "base")))
    return [Step(script, folder) for script in scripts]


def _refuse_what_is_not_ours(connection: Connection, name: str, current: str | None) -> None:
    # JupyterHub, among others, keeps its revision in a table of the same name.
    there = set(inspect(connection).get_table_names()) - {"alembic_version"}
    if there and (current is None or tables.chats.name not in there):
        raise StoreError(
            f"The database {name} belongs to another program.", remedy="Choose another one with LLMWS_DATABASE."
        )
    if current is not None:
        raise StoreError(
            f"The database {name} was written by a newer version of llmws (its schema is {current}).",
            remedy="Upgrade llmws, or choose another database with LLMWS_DATA or LLMWS_DATABASE.",
        )
