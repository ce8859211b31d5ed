"""The outbox of mails and text messages, codes sent by SMS, and an index for those of whom the audit log tells."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# SQLite gives a rowid to INTEGER keys only; PostgreSQL counts past 2^31.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TOLD = sa.text("reason IN ('backup-code', 'wrong-code')")


def upgrade() -> None:
    _create_outbox()
    _create_sms_codes()
    op.create_index("ix_audit_told", "audit", ["at"], unique=False, sqlite_where=_TOLD, postgresql_where=_TOLD)


def downgrade() -> None:
    op.drop_index("ix_audit_told", "audit")
    op.drop_table("sms_codes")
    op.drop_table("outbox")


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _ID, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("user_id", _ID, nullable=True),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("claimed_until", sa.Double(), nullable=True),
        sa.Column("sent_at", sa.Double(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint("channel in ('mail', 'sms')", name=op.f("ck_outbox_channel")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_outbox_user_id", ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("source", name="uq_outbox_source"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_due_at", "outbox", ["due_at"], unique=False)
    op.create_index("ix_outbox_user_id", "outbox", ["user_id"], unique=False)


def _create_sms_codes() -> None:
    op.create_table(
        "sms_codes",
        sa.Column("user_id", _ID, nullable=False),
        sa.Column("method_id", _ID, nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.Column("sent_at", sa.Double(), server_default="0", nullable=False),
        sa.Column("expires_at", sa.Double(), server_default="0", nullable=False),
        sa.Column("history", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_sms_codes_user_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", name="pk_sms_codes"),
    )
