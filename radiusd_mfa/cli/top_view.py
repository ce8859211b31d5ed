"""How `top` looks: a screen of what the server does, no higher than the terminal."""

from collections.abc import Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from radiusd_mfa.cli.output import shown, timestamp
from radiusd_mfa.metrics.overview import NasRates, Overview
from radiusd_mfa.usecases.admin_ports import AuditEntry

_OUTCOME_STYLES: Final = {"accept": "green", "reject": "red", "challenge": "yellow"}
_QUEUES: Final = {"opening": "to be opened", "hashing": "for a hash", "settling": "to be settled", "replies": "replies"}
_FIXED: Final = 14
"""Lines of the head, the middle part and the headings."""
_FEWEST: Final = 3
_MEBI: Final = 1 << 20
_NEARLY_ALL: Final = 0.9
"""Share of the hash threads' time beyond which sign-ins begin to wait for them."""
_SLOWEST: Final = 5.0
"""The last bound of the histograms: what is beyond is not told apart."""


def screen(of: Overview, refusals: Sequence[AuditEntry] | str, *, where: str, height: int) -> RenderableType:
    """Return the screen; in place of refusals there may be a sentence why there are none to see."""
    room = max(2 * _FEWEST, height - _FIXED)
    nases = of.nases[: room // 2]
    last = refusals if isinstance(refusals, str) else refusals[: room - max(_FEWEST, len(nases))]
    middle = Table.grid(padding=(0, 3))
    middle.add_row(_sign_ins(of), _times(of), _waiting(of))
    return Group(_head(of, where), Text(), middle, Text(), _nases(nases, of), Text(), _refusals(last))


def _head(of: Overview, where: str) -> Text:
    healthy = sum(worker.healthy for worker in of.workers)
    up = _age(of.clock - of.started) if of.started else "-"
    workers = f"{healthy} of {len(of.workers)} workers well"
    return Text.assemble(
        ("radiusd-mfa ", "bold"),
        f"{of.version}  {where}  up {up}  ",
        (workers, "green" if healthy == len(of.workers) else "bold red"),
        no_wrap=True,
        overflow="ellipsis",
    )


def _sign_ins(of: Overview) -> Table:
    table = _table("SIGN-INS", "A SECOND")
    for outcome, rate in of.outcomes.items():
        table.add_row(Text(outcome, _OUTCOME_STYLES[outcome] if rate else "dim"), _rate(rate))
    table.add_row(Text("unanswered", "bold red" if of.unanswered else "dim"), _rate(of.unanswered))
    packets = sum(of.dropped.values()) - of.unanswered
    table.add_row(Text("bad packets", "yellow" if packets else "dim"), _rate(packets))
    return table


def _times(of: Overview) -> Table:
    table = _table("TIME", "P50", "P99")
    for stage, quantiles in of.times.items():
        p50, p99 = (None, None) if quantiles is None else quantiles
        table.add_row(Text(stage, "bold" if stage == "total" else ""), _time(p50), _time(p99))
    return table


def _waiting(of: Overview) -> Table:
    table = _table("WAITING", "NOW")
    for queue, meaning in _QUEUES.items():
        depth = of.queues.get(queue, 0.0)
        table.add_row(Text(meaning, "" if depth else "dim"), Text(f"{depth:.0f}", "" if depth else "dim"))
    share = of.hash_threads_busy / of.hash_threads if of.hash_threads else 0.0
    table.add_row("threads busy", Text(f"{min(1.0, share):.0%}", "bold yellow" if share > _NEARLY_ALL else ""))
    memory = sum(worker.resident_memory or 0.0 for worker in of.workers)
    table.add_row("memory", f"{memory / _MEBI:.0f} MiB")
    return table


def _nases(nases: Sequence[NasRates], of: Overview) -> Table:
    table = _table("NAS", "ACCEPT/S", "REJECT/S", "CHALLENGE/S", "DROPPED/S", "LAST SIGN-IN")
    for each in nases:
        rates = [_rate(each.sign_ins.get(outcome, 0.0)) for outcome in _OUTCOME_STYLES]
        last = "-" if each.last is None else f"{_age(max(0.0, of.clock - each.last))} ago"
        table.add_row(_cell(each.name), *rates, _rate(each.dropped, "yellow"), last)
    if not nases:
        table.add_row(Text("none has asked yet", "dim"))
    return table


def _refusals(last: Sequence[AuditEntry] | str) -> Table:
    table = _table("LAST REFUSALS", "USER", "NAS", "REASON", right=False)
    if isinstance(last, str):
        table.add_row(Text(last, "bold red"))
        return table
    for each in last:
        at = (timestamp(each.at) or "-")[:19].replace("T", " ")
        table.add_row(at, _cell(each.user), _cell(each.nas), Text(shown(each.reason), "red"))
    if not last:
        table.add_row(Text("none", "dim"))
    return table


def _table(first: str, *others: str, right: bool = True) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column(first, no_wrap=True, overflow="ellipsis")
    for other in others:
        table.add_column(other, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    return table


def _cell(value: object) -> Text:
    # Text and not str: what looks like markup in a name stays a name.
    return Text(shown(value))


def _rate(rate: float, style: str = "") -> Text:
    if not rate:
        return Text("0", "dim")
    return Text(f"{rate:.1f}" if rate < 100 else f"{rate:.0f}", style)  # noqa: PLR2004 - three figures are enough


def _time(seconds: float | None) -> Text:
    if seconds is None:
        return Text("-", "dim")
    if seconds >= _SLOWEST:
        return Text("over 5 s", "red")
    return Text(f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms")


def _age(seconds: float) -> str:
    for length, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
