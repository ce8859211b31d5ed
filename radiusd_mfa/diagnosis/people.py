"""What is wrong with teams, users and what is sent to them. A check a function; each yields findings."""

from collections.abc import Iterator
from shlex import quote
from typing import Final

from radiusd_mfa.diagnosis.facts import Facts
from radiusd_mfa.diagnosis.findings import Area, Finding, advice, problem

STUCK_AFTER: Final = 600.0
"""Seconds that a mail is due without going out; the first tries come sooner."""
OURS: Final = "ours"
"""The kind of hashes with the parameters that new ones get."""
UNKNOWN: Final = "unknown"
"""The kind of hashes that nobody can check."""


def policies(facts: Facts) -> Iterator[Finding]:
    """Find policies that nobody understands."""
    for policy in facts.policies:
        what = (
            f"Its policy can't be understood, so everybody needs a second factor at every connection: "
            f"{'; '.join(policy.complaints)}"
        )
        yield problem(
            "policy", Area.PEOPLE, f"team {policy.team}", what, f"radiusd-mfa policy show {quote(policy.team)}"
        )


def profiles(facts: Facts) -> Iterator[Finding]:
    """Find reply profiles that can't be sent: who would get one is not answered."""
    for profile in facts.profiles:
        for_whom = "".join(
            f" --{name} {quote(value)}"
            for name, value in (("role", profile.role), ("surface", profile.surface))
            if value
        )
        what = f"A reply profile can't be sent, so sign-ins that would get it stay unanswered: {profile.complaint}"
        remedy = f"radiusd-mfa profile set {quote(profile.team)}{for_whom} FILE"
        yield problem("profile", Area.PEOPLE, f"team {profile.team}", what, remedy)


def unenrolled(facts: Facts) -> Iterator[Finding]:
    """Count users who can't sign in before they have set something up."""
    if facts.unenrolled:
        users = "1 user has" if facts.unenrolled == 1 else f"{facts.unenrolled} users have"
        what = f"{users} no second factor where one is required, and can't sign in there before one is set up."
        yield advice("unenrolled", Area.PEOPLE, "users", what, "radiusd-mfa mfa enrol USER")


def unknown_hashes(facts: Facts) -> Iterator[Finding]:
    """Count passwords that nobody can check."""
    if count := facts.hashes.get(UNKNOWN, 0):
        users = "1 user has a password hash" if count == 1 else f"{count} users have password hashes"
        what = f"{users} of no known kind, and can't sign in."
        yield problem("hashes", Area.PEOPLE, "password hashes", what, "radiusd-mfa user password USER")


def foreign_hashes(facts: Facts) -> Iterator[Finding]:
    """Count hashes of other systems, or with older parameters."""
    others = {kind: count for kind, count in facts.hashes.items() if kind not in (OURS, UNKNOWN)}
    if others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(others.items()))
        what = (
            f"Password hashes with other parameters than new ones have: {kinds}. They work as they are; unless "
            "upgrade_hashes is off, each becomes like new ones at the next sign-in of its user."
        )
        yield advice("hash-parameters", Area.PEOPLE, "password hashes", what)


def stuck(facts: Facts) -> Iterator[Finding]:
    """Find mails and messages that are due and don't go out."""
    box = facts.outbox
    if box.waiting == 0 or box.oldest is None or facts.now - box.oldest < STUCK_AFTER:
        return
    waiting = f"{box.waiting} mails or messages are due, the first one for {int((facts.now - box.oldest) // 60)} min"
    if facts.sends_mail or facts.sends_sms:
        why = f": {box.last_error}" if box.last_error else "; nothing delivers them."
        yield problem("outbox-stuck", Area.DELIVERY, "outbox", waiting + why, "radiusd-mfa outbox run")
    else:
        what = f"{waiting}, and the settings say nothing about how to send them: smtp_host and mail_from, or sms_url."
        yield problem("outbox-stuck", Area.DELIVERY, "outbox", what)


def given_up(facts: Facts) -> Iterator[Finding]:
    """Find mails and messages of the last day that will not go out any more."""
    box = facts.outbox
    if box.given_up:
        why = f", the last one for: {box.last_error}" if box.last_error else ""
        what = f"{box.given_up} mails or messages of the last day were given up{why}."
        yield problem("given-up", Area.DELIVERY, "outbox", what, "radiusd-mfa outbox retry --all")
    if box.gone:
        what = f"{box.gone} codes, links or mails of the last day never went out, and can't any more: make new ones."
        yield problem("given-up", Area.DELIVERY, "outbox", what, "radiusd-mfa outbox list --status given-up")


def links(facts: Facts) -> Iterator[Finding]:
    """Say that mails which should hold a link don't."""
    if facts.sends_mail and facts.portal_url is None:
        what = (
            "Mail is sent, and portal_url is not set: a mail about a reset can hold no link, and a refusal can't name "
            "the page for the set-up. Set it to where the pages are reached:"
        )
        yield advice("portal-url", Area.SETTINGS, "portal_url", what, 'portal_url = "https://mfa.example.com"')


CHECKS: Final = (policies, profiles, unenrolled, unknown_hashes, foreign_hashes, stuck, given_up, links)
