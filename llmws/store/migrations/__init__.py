"""The steps from an empty database to today's, one module each, never changed once released.

A new step imports `op` from alembic, names its `revision` and the one before (`down_revision`) and has `upgrade()`
alone: nobody goes back, the copy beside the database is there for that. Change `tables.py` as well; a test tells
where the two differ. SQLite changes a column only by `op.batch_alter_table`.
"""
