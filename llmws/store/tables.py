"""The tables, in types that SQLite and PostgreSQL share: text, JSON, epoch seconds as doubles, ids of 32 characters.

What is here is today's shape; how an older database gets there stands in `migrations/`, and a test compares the two.

Two references are not foreign keys because they would close a circle, which PostgreSQL cannot create in one step:
`chats.head_id` and `messages.generation_id`. `usage` refers to nothing: what was spent outlives what it was spent on;
nor does `chats.assistant_id`: what an assistant began outlives it.
Money is no double: sums of doubles depend on their order, see `amounts.py`.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
)

from .amounts import Amount, Names

# Names that do not depend on the database, so that a migration can drop a constraint by its name.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_ID = String(32)
_NAME = String(255)

chats = Table(
    "chats",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("owner", _NAME, nullable=False),
    Column("title", Text, nullable=False),
    Column("model", _NAME, nullable=False),
    Column("system", Text, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("head_id", _ID),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("deleted_at", Double),
    Column("assistant_id", _ID),
    Column("automatic_title", Boolean, nullable=False, server_default=false()),
    # Short, since it is part of every place in the search index; given by `chats.create`.
    Column("number", BigInteger),
    Column("folder", _NAME, nullable=False, server_default=""),
    Column("pinned", Boolean, nullable=False, server_default=false()),
    Column("archived", Boolean, nullable=False, server_default=false()),
    Column("temporary", Boolean, nullable=False, server_default=false()),
    Index(None, "number", unique=True),
    Index(None, "owner", "pinned", "updated_at", "id"),
)

chat_tags = Table(
    "chat_tags",
    metadata,
    Column("chat_id", _ID, ForeignKey("chats.id"), primary_key=True),
    Column("tag", _NAME, primary_key=True),
)

messages = Table(
    "messages",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("owner", _NAME, nullable=False),
    Column("chat_id", _ID, ForeignKey("chats.id")),
    # An index of its own, too: who erases a message asks whether others are below it.
    Column("parent_id", _ID, ForeignKey("messages.id"), index=True),
    Column("generation_id", _ID),
    Column("body", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Index(None, "chat_id", "parent_id"),
)

# The bytes come last: SQLite then reads the rest without them.
attachments = Table(
    "attachments",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("owner", _NAME, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("media_type", _NAME, nullable=False),
    Column("size", Integer, nullable=False),
    Column("width", Integer),
    Column("height", Integer),
    Column("created_at", Double, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index(None, "owner", "sha256"),
)

chat_attachments = Table(
    "chat_attachments",
    metadata,
    Column("chat_id", _ID, ForeignKey("chats.id"), primary_key=True),
    Column("attachment_id", _ID, ForeignKey("attachments.id"), primary_key=True, index=True),
)

# Which message stands at which place of the search index, see `search_index.py`.
search_entries = Table(
    "search_entries",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("message_id", _ID, nullable=False, unique=True),
)

generations = Table(
    "generations",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("owner", _NAME, nullable=False),
    Column("chat_id", _ID, ForeignKey("chats.id"), index=True),
    Column("message_id", _ID, ForeignKey("messages.id"), nullable=False, index=True),
    Column("model", _NAME, nullable=False),
    Column("provider", _NAME, nullable=False),
    Column("purpose", _NAME, nullable=False),
    Column("state", String(16), nullable=False),
    Column("finish_reason", String(32)),
    Column("created_at", Double, nullable=False),
    Column("ended_at", Double),
)

# Written out rather than bound, because only so can SQLite see that the index below answers the question.
is_running = generations.c.state == literal_column("'running'")

# Finds what runs, and allows a chat one answer at a time whatever happens above.
Index(
    "uq_generations_running", generations.c.chat_id, unique=True, sqlite_where=is_running, postgresql_where=is_running
)

segments = Table(
    "segments",
    metadata,
    Column("generation_id", _ID, ForeignKey("generations.id"), primary_key=True),
    Column("first_seq", Integer, primary_key=True, autoincrement=False),
    Column("last_seq", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("body", JSON, nullable=False),
)

usage = Table(
    "usage",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("owner", _NAME, nullable=False),
    Column("generation_id", _ID),
    Column("provider", _NAME, nullable=False),
    Column("model", _NAME, nullable=False),
    Column("purpose", _NAME, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("reasoning_tokens", Integer, nullable=False),
    Column("cache_read_tokens", Integer, nullable=False),
    Column("cache_write_tokens", Integer, nullable=False),
    Column("source", String(16), nullable=False),
    Column("first_token_s", Double),
    Column("total_s", Double),
    Column("outcome", String(32), nullable=False),
    Column("currency", String(8)),
    Column("notebook", Text),
    Column("cell", Text),
    Column("created_at", Double, nullable=False),
    Column("groups", Names, nullable=False, server_default="[]"),
    Column("answered_by", _NAME, nullable=False, server_default=""),
    Column("error", String(64)),
    Column("cache_write_1h_tokens", Integer, nullable=False, server_default="0"),
    Column("price", Text),
    Column("cost", Amount),
    Index(None, "owner", "created_at", "id"),
    Index(None, "created_at", "id"),
)

# Of what belongs to a generation; most rows are of calls through the gateway and do not.
Index(
    "ix_usage_generation_id",
    usage.c.generation_id,
    sqlite_where=usage.c.generation_id.is_not(None),
    postgresql_where=usage.c.generation_id.is_not(None),
)

# The sums of `usage` by the hour (since 1970, UTC) and all that they are asked by; `id` is a digest of these.
usage_hours = Table(
    "usage_hours",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("hour", Integer, nullable=False),
    Column("owner", _NAME, nullable=False),
    Column("groups", Names, nullable=False),
    Column("provider", _NAME, nullable=False),
    Column("model", _NAME, nullable=False),
    Column("answered_by", _NAME, nullable=False),
    Column("purpose", _NAME, nullable=False),
    Column("currency", String(8), nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("cache_read_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("cost", Amount, nullable=False),
    Column("unpriced_calls", BigInteger, nullable=False),
    Column("estimated_calls", BigInteger, nullable=False),
    Index(None, "hour"),
    Index(None, "owner", "hour"),
)

prices = Table(
    "prices",
    metadata,
    Column("model", _NAME, primary_key=True),
    Column("body", JSON, nullable=False),
    Column("set_by", _NAME, nullable=False),
    Column("updated_at", Double, nullable=False),
)

exchange_rates = Table(
    "exchange_rates",
    metadata,
    Column("currency", String(8), primary_key=True),
    Column("into", String(8), primary_key=True),
    Column("valid_from", String(10), primary_key=True),
    Column("rate", String(32), nullable=False),
    Column("set_by", _NAME, nullable=False),
    Column("updated_at", Double, nullable=False),
)

limits = Table(
    "limits",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("name", _NAME, nullable=False),
    Column("model", _NAME, nullable=False),
    Column("unit", String(16), nullable=False),
    Column("period", String(16)),
    Column("soft", Double),
    Column("hard", Double),
    Column("forbid_unpriced", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("owner", _NAME, nullable=False),
    Column("name", Text, nullable=False),
    Column("base", _NAME, nullable=False),
    Column("dataset", Text, nullable=False),
    Column("recipe", JSON, nullable=False),
    Column("state", String(32), nullable=False),
    Column("intent", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    Column("accelerators", JSON, nullable=False),
    Column("runner", _NAME),
    Column("notebook", Text),
    Column("created_at", Double, nullable=False),
    Column("started_at", Double),
    Column("ended_at", Double),
    Column("updated_at", Double, nullable=False),
    Column("round", Integer, nullable=False, server_default="1"),
    Column("remedy", Text, nullable=False, server_default=""),
    Column("step", Integer),
    Column("total_steps", Integer),
    Column("loss", Double),
    Column("deleted_at", Double),
    Index(None, "owner", "created_at", "id"),
)

job_events = Table(
    "job_events",
    metadata,
    Column("job_id", _ID, ForeignKey("jobs.id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("type", String(16), nullable=False),
    Column("key", _NAME, nullable=False),
    Column("body", JSON, nullable=False),
    UniqueConstraint("job_id", "type", "key"),
)

adapters = Table(
    "adapters",
    metadata,
    Column("id", _NAME, primary_key=True),
    Column("owner", _NAME, nullable=False),
    Column("base", _NAME, nullable=False),
    Column("job_id", _ID, ForeignKey("jobs.id", ondelete="SET NULL")),
    Column("path", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("kind", String(16), nullable=False, server_default="adapter"),
)

comparisons = Table(
    "comparisons",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("owner", _NAME, nullable=False),
    Column("messages", JSON, nullable=False),
    Column("models", JSON, nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Index(None, "owner", "created_at", "id"),
)

comparison_items = Table(
    "comparison_items",
    metadata,
    Column("comparison_id", _ID, ForeignKey("comparisons.id"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("model", _NAME, nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("generation_id", _ID, ForeignKey("generations.id"), index=True),
    Column("error", JSON(none_as_null=True)),
)

grants = Table(
    "grants",
    metadata,
    Column("noun", String(32), primary_key=True),
    Column("thing_id", _NAME, primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("grantee", _NAME, primary_key=True),
    Column("created_at", Double, nullable=False),
    Index(None, "noun", "kind", "grantee"),
)

links = Table(
    "links",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("owner", _NAME, nullable=False),
    Column("chat_id", _ID, ForeignKey("chats.id"), nullable=False, index=True),
    Column("head_id", _ID, nullable=False),
    Column("secret_hash", String(64), nullable=False, unique=True),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
)

assistants = Table(
    "assistants",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("owner", _NAME, nullable=False, index=True),
    Column("name", _NAME, nullable=False),
    Column("description", Text, nullable=False),
    Column("model", _NAME, nullable=False),
    Column("system", Text, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("deleted_at", Double),
)

preferences = Table(
    "preferences",
    metadata,
    Column("owner", _NAME, primary_key=True),
    Column("automatic_titles", Boolean, nullable=False),
)

providers = Table(
    "providers",
    metadata,
    Column("id", _NAME, primary_key=True),
    Column("creation_id", _ID, nullable=False, unique=True),
    Column("owner", _NAME, nullable=False, index=True),
    Column("name", _NAME, nullable=False),
    Column("vendor", _NAME, nullable=False),
    Column("base_url", Text),
    Column("only", JSON, nullable=False),
    Column("fallbacks", JSON, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
)

provider_keys = Table(
    "provider_keys",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("provider_id", _NAME, ForeignKey("providers.id"), nullable=False, index=True),
    Column("label", _NAME, nullable=False),
    Column("weight", Integer, nullable=False),
    Column("ciphertext", Text, nullable=False),
    Column("parked_until", Double),
    Column("parked_reason", _NAME),
    Column("last_used_at", Double),
    Column("created_at", Double, nullable=False),
)

# Also of providers that only a file names, so `provider_id` refers to no row.
model_lists = Table(
    "model_lists",
    metadata,
    Column("provider_id", _NAME, primary_key=True),
    Column("models", JSON, nullable=False),
    Column("listed_at", Double, nullable=False),
)

capabilities = Table(
    "capabilities",
    metadata,
    Column("provider_id", _NAME, primary_key=True),
    Column("model", _NAME, primary_key=True),
    Column("name", String(32), primary_key=True),
    Column("source", String(16), primary_key=True),
    Column("value", JSON, nullable=False),
    Column("checked_at", Double, nullable=False),
    Column("evidence", Text, nullable=False, server_default=""),
)

accounts = Table(
    "accounts",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("uid", Integer, unique=True),
    Column("password_hash", Text),
    Column("state", String(16), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("approved_by", _NAME),
    Column("approved_at", Double),
)

attempts = Table(
    "attempts",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("failures", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("blocked_until", Double, nullable=False),
)

codes = Table(
    "codes",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("expires_at", Double, nullable=False),
)
