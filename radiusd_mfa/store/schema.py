"""The tables: a public contract, since control panels and provisioning write to them too (docs/schema.md).

Times are Unix seconds as double precision. Sealed columns hold AES-256-GCM bound to table, column and row id.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite gives a rowid to INTEGER keys only; PostgreSQL counts past 2^31.
_Id: Final = BigInteger().with_variant(Integer, "sqlite")


def _key() -> Column[int]:
    return Column("id", _Id, primary_key=True, autoincrement=True)


def _one_of(column: str, *values: str) -> CheckConstraint:
    return CheckConstraint(f"{column} in ({', '.join(repr(value) for value in values)})", name=column)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default=false())


def _text(name: str, default: str = "") -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


def _of(table: str, *, nullable: bool = False, **options: Any) -> Column[int]:  # noqa: ANN401 - passed on to Column
    column = "nas_id" if table == "nas" else f"{table.removesuffix('s')}_id"
    cascade = "SET NULL" if nullable else "CASCADE"
    return Column(column, _Id, ForeignKey(f"{table}.id", ondelete=cascade), nullable=nullable, **options)


# A row that every sign-in rewrites keeps room on its page, so that PostgreSQL need not touch the index (HOT update).
_REWRITTEN: Final[dict[str, Any]] = {"postgresql_with": {"fillfactor": 70}}
# Left alone, SQLite gives the id of a removed row to the next one: a sign-in in flight would spend the new row.
_NEVER_AGAIN: Final[dict[str, Any]] = {"sqlite_autoincrement": True}

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
)

teams = Table(
    "teams",
    metadata,
    _key(),
    Column("name", Text, nullable=False, unique=True),
    _text("plan", "mfa"),
    Column("policy", Text),
    Column("policy_version", Integer, nullable=False, server_default="0"),
    Column("created_at", Double, nullable=False),
    **_NEVER_AGAIN,
)

realms = Table(
    "realms",
    metadata,
    Column("name", Text, primary_key=True),
    # Null: the name without the realm is meant, and no team by it. A team that is removed takes its realms along.
    Column("team_id", _Id, ForeignKey("teams.id", ondelete="CASCADE"), nullable=True),
)

policies = Table(
    "policies",
    metadata,
    _of("teams", primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("text", Text),
    Column("at", Double, nullable=False),
    Column("actor", Text, nullable=False),
)

users = Table(
    "users",
    metadata,
    _key(),
    Column("name", Text, nullable=False, unique=True),
    Column("email", Text),
    Column("phone", Text),
    Column("password_hash", Text),
    _text("source", "local"),
    _flag("disabled"),
    Column("backup_generation", Integer, nullable=False, server_default="0"),
    Column("created_at", Double, nullable=False),
    **_NEVER_AGAIN,
)

memberships = Table(
    "memberships",
    metadata,
    _of("users", primary_key=True),
    _of("teams", primary_key=True, index=True),
    Column("role", Text, nullable=False),
    _text("permissions"),
    _one_of("role", "owner", "admin", "member"),
)

nas = Table(
    "nas",
    metadata,
    _key(),
    Column("name", Text, nullable=False, unique=True),
    Column("address", Text, nullable=False, unique=True),
    Column("secret", LargeBinary, nullable=False),
    Column("surface", Text, nullable=False),
    _of("teams", nullable=True),
    _flag("challenge"),
    _flag("otp_only"),
    _text("separators"),
    _flag("code_first"),
    _text("message_authenticator", "require"),
    _text("reply_message_authenticator", "always"),
    _flag("allow_proxy_state"),
    _text("omit"),
    Column("retry_grace", Double, nullable=False, server_default="0"),
    Column("created_at", Double, nullable=False),
    _text("set_up", "link"),
    Column("disconnect_port", Integer, nullable=False, server_default="3799"),
    _one_of("message_authenticator", "require", "optional"),
    _one_of("reply_message_authenticator", "always", "mirror", "never"),
    CheckConstraint("retry_grace >= 0", name="retry_grace"),
    _one_of("set_up", "link", "dialogue"),
    **_NEVER_AGAIN,
)

methods = Table(
    "methods",
    metadata,
    _key(),
    _of("users"),
    Column("kind", Text, nullable=False),
    _text("label"),
    Column("seed", LargeBinary),
    Column("phone", Text),
    Column("digits", Integer, nullable=False, server_default="6"),
    Column("period", Integer, nullable=False, server_default="30"),
    _text("algorithm", "SHA1"),
    Column("watermark", BigInteger, nullable=False, server_default="0"),
    Column("last_request", LargeBinary),
    Column("created_at", Double, nullable=False),
    Column("confirmed_at", Double),
    Column("last_used_at", Double),
    _flag("is_default"),
    Column("replaces", _Id),
    Column("seed_digest", LargeBinary),
    _one_of("kind", "totp", "sms"),
    _one_of("algorithm", "SHA1", "SHA256", "SHA512"),
    # One seed is one method, or its codes would be good twice. It finds the methods of a user, too.
    Index("uq_methods_user_id_seed_digest", "user_id", "seed_digest", unique=True),
    **_REWRITTEN,
    **_NEVER_AGAIN,
)

backup_codes = Table(
    "backup_codes",
    metadata,
    _key(),
    _of("users"),
    Column("generation", Integer, nullable=False),
    Column("selector", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("used_at", Double),
    Column("last_request", LargeBinary),
    Column("sealed", LargeBinary),
    UniqueConstraint("user_id", "generation", "selector"),
    **_NEVER_AGAIN,
)

challenges = Table(
    "challenges",
    metadata,
    Column("state", LargeBinary, primary_key=True),
    _of("users", index=True),
    _of("nas"),
    Column("kind", Text, nullable=False),
    Column("code_hash", Text),
    # The password hash on which it was given: with another one it is worth nothing (ATTACKS 23).
    Column("granted_to", Text, nullable=False),
    Column("expires_at", Double, nullable=False, index=True),
    # No foreign key: to remove a method would have to search all challenges, and they are removed beside it anyway.
    Column("method_id", _Id),
    # No seed: that of a set-up in dialogue follows from its State, and nothing of it is kept before it counts.
    Column("step", BigInteger),
    Column("codes", Integer),
    _one_of("kind", "code", "enrol", "record"),
)

verifications = Table(
    "verifications",
    metadata,
    _of("users", primary_key=True),
    # No foreign key: 0 stands for "no team", which a primary key can hold and NULL could not.
    Column("team_id", _Id, primary_key=True, autoincrement=False, server_default="0"),
    Column("nas_id", _Id, primary_key=True, autoincrement=False),
    Column("device", Text, primary_key=True),
    Column("surface", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("text", LargeBinary, nullable=False),
    # As in `challenges`: a period dies with the password, whoever changes it.
    _text("granted_to"),
    **_REWRITTEN,
)

throttles = Table(
    "throttles",
    metadata,
    _of("users", primary_key=True),
    _text("history"),
    **_REWRITTEN,
)

links = Table(
    "links",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("purpose", Text, nullable=False),
    _of("users", index=True),
    Column("expires_at", Double, nullable=False),
    Column("used_at", Double),
    Column("created_at", Double, nullable=False, server_default="0"),
    _text("made_by"),
)

reply_profiles = Table(
    "reply_profiles",
    metadata,
    _key(),
    _of("teams"),
    Column("role", Text),
    Column("surface", Text),
    Column("attributes", Text, nullable=False),
    UniqueConstraint("team_id", "role", "surface"),
    **_NEVER_AGAIN,
)

IS_TOLD: Final = text("reason IN ('backup-code', 'wrong-code')")
"""Of which sign-ins their user may be told; a query must say it in these words to be led by the index."""

audit = Table(
    "audit",
    metadata,
    _key(),
    Column("at", Double, nullable=False),
    Column("kind", Text, nullable=False),
    Column("request", LargeBinary, unique=True),
    Column("user_name", Text),
    Column("nas_name", Text),
    Column("surface", Text),
    Column("device", Text),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", Text),
    Column("detail", Text),
    Column("facts", Text),
    Index(None, "kind", "at"),
    # Of almost no sign-in: whoever delivers mail looks here every few seconds, and sign-ins must not pay for it.
    Index("ix_audit_told", "at", sqlite_where=IS_TOLD, postgresql_where=IS_TOLD),
    **_NEVER_AGAIN,
)

audit_seals = Table(
    "audit_seals",
    metadata,
    # Counted by who seals and not by the table: of two nodes that make the next seal at once, one finds its id taken.
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("version", Integer, nullable=False),
    Column("after_id", _Id, nullable=False),
    Column("last_id", _Id, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("newest_at", Double, nullable=False),
    Column("sealed_at", Double, nullable=False),
    Column("digests", LargeBinary),
    Column("digest", LargeBinary, nullable=False),
    Column("previous", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),
    Column("pruned", LargeBinary),
)

outbox = Table(
    "outbox",
    metadata,
    _key(),
    Column("kind", Text, nullable=False),
    Column("channel", Text, nullable=False),
    _of("users", nullable=True, index=True),
    Column("recipient", Text, nullable=False),
    Column("payload", LargeBinary),
    Column("source", Text, unique=True),
    Column("created_at", Double, nullable=False),
    # Null: there is nothing left to do. It was sent, or given up.
    Column("due_at", Double, index=True),
    Column("expires_at", Double, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("claimed_until", Double),
    Column("sent_at", Double),
    Column("last_error", Text),
    _one_of("channel", "mail", "sms"),
    **_NEVER_AGAIN,
)

sms_codes = Table(
    "sms_codes",
    metadata,
    _of("users", primary_key=True),
    # No foreign key, as in `challenges`: a code of a method that is gone finds no method to be spent by.
    Column("method_id", _Id),
    Column("digest", LargeBinary),
    Column("sent_at", Double, nullable=False, server_default="0"),
    Column("expires_at", Double, nullable=False, server_default="0"),
    _text("history"),
)

portal_sessions = Table(
    "portal_sessions",
    metadata,
    _key(),
    Column("hash", LargeBinary, nullable=False, unique=True),
    _of("users", index=True),
    Column("stage", Text, nullable=False),
    Column("how", Text, nullable=False),
    # As in `challenges`: a session dies with the password, whoever changes it.
    Column("granted_to", Text, nullable=False),
    _text("device"),
    Column("created_at", Double, nullable=False),
    Column("seen_at", Double, nullable=False, index=True),
    Column("carries", LargeBinary),
    _one_of("stage", "code", "set-up", "in"),
    **_NEVER_AGAIN,
)

_SEEN: Final = (
    *("requests", "signed", "proxied", "unreadable", "answers", "challenges", "retransmissions"),
    *("unsigned_dropped", "wrong_signature", "proxy_state_dropped", "malformed", "chap", "ms_chap", "eap"),
)

sightings = Table(
    "sightings",
    metadata,
    # No foreign key: what a server still counts of an entry that was just removed must not fail with all the rest.
    Column("nas_id", _Id, primary_key=True, autoincrement=False),
    Column("day", Integer, primary_key=True, autoincrement=False),
    *(Column(name, BigInteger, nullable=False, server_default="0") for name in _SEEN),
    Column("retransmitted_after", Double, nullable=False, server_default="0"),
    Column("seen_at", Double, nullable=False, server_default="0"),
    Column("dropped_at", Double, nullable=False, server_default="0"),
    Column("nas_identifier", Text),
)

strangers = Table(
    "strangers",
    metadata,
    Column("address", Text, primary_key=True),
    Column("packets", BigInteger, nullable=False, server_default="0"),
    Column("seen_at", Double, nullable=False),
)
