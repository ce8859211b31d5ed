"""Where a NAS takes Disconnect-Requests."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # No check of its range: the version that runs must not meet a new demand.
    op.add_column("nas", sa.Column("disconnect_port", sa.Integer(), server_default="3799", nullable=False))


def downgrade() -> None:
    op.drop_column("nas", "disconnect_port")
