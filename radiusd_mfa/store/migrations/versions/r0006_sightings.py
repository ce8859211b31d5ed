"""What the servers saw each NAS do, and who asked that no NAS entry covers."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# SQLite gives a rowid to INTEGER keys only; PostgreSQL counts past 2^31.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_COUNTS = (
    *("requests", "signed", "proxied", "unreadable", "answers", "challenges", "retransmissions"),
    *("unsigned_dropped", "wrong_signature", "proxy_state_dropped", "malformed", "chap", "ms_chap", "eap"),
)


def upgrade() -> None:
    op.create_table(
        "sightings",
        sa.Column("nas_id", _ID, autoincrement=False, nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        *(sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in _COUNTS),
        sa.Column("retransmitted_after", sa.Double(), server_default="0", nullable=False),
        sa.Column("seen_at", sa.Double(), server_default="0", nullable=False),
        sa.Column("dropped_at", sa.Double(), server_default="0", nullable=False),
        sa.Column("nas_identifier", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("nas_id", "day", name="pk_sightings"),
    )
    op.create_table(
        "strangers",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("packets", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("address", name="pk_strangers"),
    )


def downgrade() -> None:
    op.drop_table("strangers")
    op.drop_table("sightings")
