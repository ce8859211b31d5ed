"""Where our server is installed for a benchmark that knows its database only by name."""

from contextlib import ExitStack
from pathlib import Path

from bench.lib import ours
from bench.lib.postgresql import postgresql
from bench.lib.results import Report


def place_on(
    database: str, directory: Path, stack: ExitStack, report: Report
) -> tuple[ours.Installation, dict[str, int]]:
    """Return an installation on `sqlite` or `postgresql`, and the processes that work for it beside its own."""
    if database != "postgresql":
        return ours.on_sqlite(directory), {}
    cluster = stack.enter_context(postgresql(directory))
    report.versions["postgresql"] = cluster.version
    return ours.Installation(directory / "ours", cluster.new("ours")), {"postgresql": cluster.pid}
