"""Policies by version, realms without a team, periods bound to a password, recorded facts, set-up and links by whom.

Rows stay as they are. A period of before is bound to no password yet, so nobody signs in by it: the next code begins
a new one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# SQLite gives a rowid to INTEGER keys only; PostgreSQL counts past 2^31.
_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_KINDS = "kind in ('code', 'enrol', 'record')"
_SET_UP = "set_up in ('link', 'dialogue')"


def upgrade() -> None:
    _create_policies()
    _loosen_realms()
    _widen_challenges()
    _widen_nas()
    _widen_others()
    _index()


def downgrade() -> None:
    op.drop_index("ix_audit_kind_at", "audit")
    op.create_index("ix_methods_user_id", "methods", ["user_id"], unique=False)
    op.drop_index("uq_methods_user_id_seed_digest", "methods")
    for table, columns in _ADDED.items():
        for column in columns:
            op.drop_column(table, column)
    with op.batch_alter_table("challenges") as challenges:
        challenges.drop_constraint(op.f("ck_challenges_kind"), type_="check")
        for column in ("method_id", "step", "codes"):
            challenges.drop_column(column)
    op.execute("DELETE FROM realms WHERE team_id IS NULL")
    with op.batch_alter_table("realms") as realms:
        realms.alter_column("team_id", existing_type=_ID, nullable=False)
    op.drop_table("policies")


_ADDED = {
    "audit": ("facts",),
    "backup_codes": ("sealed",),
    "links": ("made_by", "created_at"),
    "verifications": ("granted_to",),
    "methods": ("seed_digest", "replaces"),
    "nas": ("set_up",),
}


def _create_policies() -> None:
    op.create_table(
        "policies",
        sa.Column("team_id", _ID, nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["team_id"], ["teams.id"], name="fk_policies_team_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("team_id", "version", name="pk_policies"),
    )
    # What another program wrote before there was a history begins it.
    op.execute(
        "INSERT INTO policies (team_id, version, text, at, actor)"
        " SELECT id, policy_version, policy, created_at, 'unknown' FROM teams WHERE policy IS NOT NULL"
    )


def _loosen_realms() -> None:
    with op.batch_alter_table("realms") as realms:
        realms.alter_column("team_id", existing_type=_ID, nullable=True)


def _widen_challenges() -> None:
    # SQLite copies the table for a constraint. No other table refers to this one, so nothing is deleted with the old.
    op.execute(f"DELETE FROM challenges WHERE NOT {_KINDS}")  # noqa: S608 - a constant of ours
    with op.batch_alter_table("challenges") as challenges:
        challenges.add_column(sa.Column("method_id", _ID, nullable=True))
        challenges.add_column(sa.Column("step", sa.BigInteger(), nullable=True))
        challenges.add_column(sa.Column("codes", sa.Integer(), nullable=True))
        challenges.create_check_constraint(op.f("ck_challenges_kind"), _KINDS)


def _widen_nas() -> None:
    # In one piece with its constraint, for SQLite may then leave the table where it is: to copy it would delete what
    # refers to the old one.
    op.execute(
        f"ALTER TABLE nas ADD COLUMN set_up TEXT DEFAULT 'link' NOT NULL CONSTRAINT ck_nas_set_up CHECK ({_SET_UP})"
    )


def _widen_others() -> None:
    op.add_column("methods", sa.Column("replaces", _ID, nullable=True))
    op.add_column("methods", sa.Column("seed_digest", sa.LargeBinary(), nullable=True))
    op.add_column("verifications", sa.Column("granted_to", sa.Text(), server_default="", nullable=False))
    op.add_column("links", sa.Column("created_at", sa.Double(), server_default="0", nullable=False))
    op.add_column("links", sa.Column("made_by", sa.Text(), server_default="", nullable=False))
    op.add_column("backup_codes", sa.Column("sealed", sa.LargeBinary(), nullable=True))
    op.add_column("audit", sa.Column("facts", sa.Text(), nullable=True))


def _index() -> None:
    # It finds the methods of a user too, so it takes the place of the old index.
    op.create_index("uq_methods_user_id_seed_digest", "methods", ["user_id", "seed_digest"], unique=True)
    op.drop_index("ix_methods_user_id", "methods")
    op.create_index("ix_audit_kind_at", "audit", ["kind", "at"], unique=False)
