"""`radiusd-mfa doctor`: what is wrong, where, and the command that mends it."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby, zip_longest
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from radiusd_mfa.cli.commands import Command
from radiusd_mfa.cli.output import emit
from radiusd_mfa.cli.session import REFUSED, Session, with_session
from radiusd_mfa.core.names import escaped
from radiusd_mfa.diagnosis.checks import diagnose
from radiusd_mfa.diagnosis.facts import Facts
from radiusd_mfa.diagnosis.findings import Area, Finding, Weight
from radiusd_mfa.doctor.collect import collect

_TITLES: Final = {
    Area.SETTINGS: "Settings",
    Area.MACHINE: "Files and machine",
    Area.KEYS: "Keys",
    Area.DATABASE: "Database",
    Area.AUDIT: "Audit log",
    Area.SERVER: "Server",
    Area.NAS: "NAS entries",
    Area.PEOPLE: "Teams and users",
    Area.DELIVERY: "Mail and SMS",
}
_MARKS: Final = {Weight.PROBLEM: ("✗", "bold red"), Weight.ADVICE: ("•", "yellow")}
_INDENT: Final = 4
_LONGEST: Final = 1_000
_COLUMNS: Final = 100


@click.command("doctor", cls=Command, example="radiusd-mfa doctor")
@with_session
def doctor(session: Session) -> None:
    """Say what is wrong, and the command that mends it; exit 1 if something needs a look."""
    facts = collect(lambda: session.config, profile=session.profile)
    findings = diagnose(facts)
    emit(session, _document(facts, findings), lambda: _show(facts, findings))
    if any(finding.weight is Weight.PROBLEM for finding in findings):
        click.get_current_context().exit(REFUSED)


def _document(facts: Facts, findings: Sequence[Finding]) -> dict[str, object]:
    return {
        "well": not any(finding.weight is Weight.PROBLEM for finding in findings),
        "findings": [asdict(finding) for finding in findings],
        "not_looked_at": [area for area in Area if area not in facts.looked_at],
    }


def _show(facts: Facts, findings: Sequence[Finding]) -> None:
    width = min(_COLUMNS, Console().width) if sys.stdout.isatty() else _COLUMNS
    console = Console(width=width, highlight=False)
    was_told = False
    by_area = {area: list(found) for area, found in groupby(findings, key=lambda each: each.area)}
    for area in Area:
        found = by_area.get(area, [])
        if not found and was_told:
            console.print()
        was_told = bool(found)
        if found:
            console.print(Text(f"\n{_TITLES[area]}", style="bold"))
            for finding in found:
                _show_finding(console, finding)
        elif area in facts.looked_at:
            console.print(Text.assemble(("✓ ", "green"), _TITLES[area]))
        else:
            console.print(Text(f"? {_TITLES[area]}: not looked at", style="dim"))
    console.print(_sum(findings))


def _show_finding(console: Console, finding: Finding) -> None:
    mark, style = _MARKS[finding.weight]
    said = Text.assemble((escaped(finding.where, _LONGEST), "bold"), "  ", escaped(finding.what, _LONGEST))
    lines = said.wrap(console, console.width - _INDENT)
    for begin, line in zip_longest((Text(f"  {mark} ", style),), lines, fillvalue=Text(" " * _INDENT)):
        console.print(Text.assemble(begin, line))
    if finding.remedy:
        # Not wrapped: it is there to be copied.
        console.print(Text(f"{' ' * _INDENT}  {escaped(finding.remedy, _LONGEST)}", style="cyan"), soft_wrap=True)


def _sum(findings: Sequence[Finding]) -> Text:
    problems = sum(finding.weight is Weight.PROBLEM for finding in findings)
    others = len(findings) - problems
    if not findings:
        return Text("\nAll is well.", style="green")
    parts = (
        [f"{problems} need a look"] if problems > 1 else ["1 needs a look"] if problems else ["Nothing needs a look"]
    )
    parts += [f"{others} could be better"] if others else []
    return Text(f"\n{', '.join(parts)}.", style="red" if problems else "green")
