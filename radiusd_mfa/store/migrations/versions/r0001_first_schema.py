"""The first schema: sign-ins, people, teams, NAS entries, methods, audit.

Written out and not taken from the metadata: what this revision makes must never change again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# SQLite gives a rowid to INTEGER keys only; PostgreSQL counts past 2^31.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_base()
    _create_teams()
    _create_users()
    _create_nas()
    _create_methods()
    _create_sign_ins()


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table)


_TABLES = (
    "meta",
    "audit",
    "teams",
    "realms",
    "reply_profiles",
    "users",
    "memberships",
    "links",
    "nas",
    "methods",
    "backup_codes",
    "challenges",
    "verifications",
    "throttles",
)


def _create_base() -> None:
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_meta"),
    )
    op.create_table(
        "audit",
        sa.Column("id", _ID, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=True),
        sa.Column("user_name", sa.Text(), nullable=True),
        sa.Column("nas_name", sa.Text(), nullable=True),
        sa.Column("surface", sa.Text(), nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sa.UniqueConstraint("request", name="uq_audit_request"),
        sqlite_autoincrement=True,
    )


def _create_teams() -> None:
    op.create_table(
        "teams",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), server_default="mfa", nullable=False),
        sa.Column("policy", sa.Text(), nullable=True),
        sa.Column("policy_version", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_teams"),
        sa.UniqueConstraint("name", name="uq_teams_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "realms",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("team_id", _ID, nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_realms_team_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("name", name="pk_realms"),
    )
    op.create_table(
        "reply_profiles",
        sa.Column("id", _ID, nullable=False),
        sa.Column("team_id", _ID, nullable=False),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("surface", sa.Text(), nullable=True),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_reply_profiles_team_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_reply_profiles"),
        sa.UniqueConstraint("team_id", "role", "surface", name="uq_reply_profiles_team_id_role_surface"),
        sqlite_autoincrement=True,
    )


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), server_default="local", nullable=False),
        sa.Column("disabled", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("backup_generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("name", name="uq_users_name"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "memberships",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("team_id", _ID, nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("permissions", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("role in ('owner', 'admin', 'member')", name=op.f("ck_memberships_role")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_memberships_team_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_memberships_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "team_id", name="pk_memberships"),
    )
    op.create_index("ix_memberships_team_id", "memberships", ["team_id"], unique=False)
    op.create_table(
        "links",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_links_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("hash", name="pk_links"),
    )
    op.create_index("ix_links_user_id", "links", ["user_id"], unique=False)


def _create_nas() -> None:
    op.create_table(
        "nas",
        sa.Column("id", _ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("team_id", _ID, nullable=True),
        sa.Column("challenge", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("otp_only", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("separators", sa.Text(), server_default="", nullable=False),
        sa.Column("code_first", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("message_authenticator", sa.Text(), server_default="require", nullable=False),
        sa.Column("reply_message_authenticator", sa.Text(), server_default="always", nullable=False),
        sa.Column("allow_proxy_state", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("omit", sa.Text(), server_default="", nullable=False),
        sa.Column("retry_grace", sa.Double(), server_default="0", nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.CheckConstraint(
            "message_authenticator in ('require', 'optional')", name=op.f("ck_nas_message_authenticator")
        ),
        sa.CheckConstraint(
            "reply_message_authenticator in ('always', 'mirror', 'never')",
            name=op.f("ck_nas_reply_message_authenticator"),
        ),
        sa.CheckConstraint("retry_grace >= 0", name=op.f("ck_nas_retry_grace")),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_nas_team_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_nas"),
        sa.UniqueConstraint("address", name="uq_nas_address"),
        sa.UniqueConstraint("name", name="uq_nas_name"),
        sqlite_autoincrement=True,
    )


def _create_methods() -> None:
    op.create_table(
        "methods",
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), server_default="", nullable=False),
        sa.Column("seed", sa.LargeBinary(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("digits", sa.Integer(), server_default="6", nullable=False),
        sa.Column("period", sa.Integer(), server_default="30", nullable=False),
        sa.Column("algorithm", sa.Text(), server_default="SHA1", nullable=False),
        sa.Column("watermark", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_request", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("confirmed_at", sa.Double(), nullable=True),
        sa.Column("last_used_at", sa.Double(), nullable=True),
        sa.Column("is_default", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.CheckConstraint("algorithm in ('SHA1', 'SHA256', 'SHA512')", name=op.f("ck_methods_algorithm")),
        sa.CheckConstraint("kind in ('totp', 'sms')", name=op.f("ck_methods_kind")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_methods_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_methods"),
        postgresql_with={"fillfactor": 70},
        sqlite_autoincrement=True,
    )
    op.create_index("ix_methods_user_id", "methods", ["user_id"], unique=False)
    op.create_table(
        "backup_codes",
        sa.Column("id", _ID, nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("selector", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("used_at", sa.Double(), nullable=True),
        sa.Column("last_request", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_backup_codes_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_backup_codes"),
        sa.UniqueConstraint("user_id", "generation", "selector", name="uq_backup_codes_user_id_generation_selector"),
        sqlite_autoincrement=True,
    )


def _create_sign_ins() -> None:
    op.create_table(
        "challenges",
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("nas_id", _ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.Text(), nullable=True),
        sa.Column("granted_to", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["nas_id"], ["nas.id"], name="fk_challenges_nas_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_challenges_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("state", name="pk_challenges"),
    )
    op.create_index("ix_challenges_expires_at", "challenges", ["expires_at"], unique=False)
    op.create_index("ix_challenges_user_id", "challenges", ["user_id"], unique=False)
    op.create_table(
        "verifications",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("team_id", _ID, server_default="0", autoincrement=False, nullable=False),
        sa.Column("nas_id", _ID, autoincrement=False, nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("surface", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_verifications_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "team_id", "nas_id", "device", name="pk_verifications"),
        postgresql_with={"fillfactor": 70},
    )
    op.create_table(
        "throttles",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("history", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_throttles_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", name="pk_throttles"),
        postgresql_with={"fillfactor": 70},
    )
