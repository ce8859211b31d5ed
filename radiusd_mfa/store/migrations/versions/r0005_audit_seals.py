"""The chain of seals over the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# SQLite gives a rowid to INTEGER keys only; PostgreSQL counts past 2^31.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "audit_seals",
        sa.Column("id", _ID, autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("after_id", _ID, nullable=False),
        sa.Column("last_id", _ID, nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("newest_at", sa.Double(), nullable=False),
        sa.Column("sealed_at", sa.Double(), nullable=False),
        sa.Column("digests", sa.LargeBinary(), nullable=True),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("previous", sa.LargeBinary(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        sa.Column("pruned", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit_seals"),
    )


def downgrade() -> None:
    op.drop_table("audit_seals")
