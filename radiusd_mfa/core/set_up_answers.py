"""What an answer within a set-up is worth: the first code, and the word that the backup codes are written down.

Nobody gets in by less than password, first code and that word, and whatever is in the way uses the State up: the set-up
begins anew with the password, and another secret. Knows no key and no store.
"""

from radiusd_mfa.core import set_up
from radiusd_mfa.core.facts import Attempt, Facts, MethodKind
from radiusd_mfa.core.policy import T0
from radiusd_mfa.core.requirement import Requirement, policies_of
from radiusd_mfa.core.set_up import Dialogue, Progress, Recording
from radiusd_mfa.core.totp import matching_steps
from radiusd_mfa.core.typed import Answer, TotpCode
from radiusd_mfa.core.verdict import Mark, Outcome, Reason, Verdict


def answered(
    attempt: Attempt, typed: Answer, facts: Facts, required: Requirement, *, dialogue: Dialogue
) -> Verdict | Recording:
    """Judge the answer to a challenge that stands; where all is done but the hashes of the codes, say of which."""
    progress = facts.set_up
    if progress is None or not _may_go_on(attempt, facts, required, progress):
        return _ended(Reason.BAD_STATE)
    if dialogue.stage == set_up.FIRST_CODE:
        return _first_code(attempt, typed, facts, dialogue)
    if progress.open is None or dialogue.stage > progress.open.last_stage:
        return _ended(Reason.BAD_STATE)
    return _recorded(typed, dialogue, progress.open)


def _may_go_on(attempt: Attempt, facts: Facts, required: Requirement, progress: Progress) -> bool:
    """Whether what began may still end well: neither the NAS nor the user nor the policies have changed so."""
    nas = attempt.nas
    leads = nas.set_up and nas.challenge and not nas.otp_only
    return leads and not facts.methods and not progress.has_method and MethodKind.TOTP in required.allowed


def _first_code(attempt: Attempt, typed: Answer, facts: Facts, dialogue: Dialogue) -> Verdict:
    if typed.code is None:
        return _ended(Reason.CODE_MISSING)
    steps: tuple[int, ...] = ()
    if isinstance(typed.code, TotpCode):
        steps = matching_steps(
            typed.code.digits,
            seed=dialogue.seed,
            digits=set_up.DIGITS,
            period=set_up.PERIOD,
            algorithm=set_up.ALGORITHM,
            now=attempt.at,
        )
    if not steps:
        return _ended(Reason.WRONG_CODE, mark=Mark.WRONG_CODE)
    # The highest step: one that a phone ahead of us shows must not be good for a sign-in later.
    return _recording(Recording(max(steps), _codes_wanted(facts)))


def _recorded(typed: Answer, dialogue: Dialogue, recording: Recording) -> Verdict | Recording:
    if typed.word != set_up.SAVED:
        return _ended(Reason.NOT_RECORDED)
    return _recording(recording) if dialogue.stage < recording.last_stage else recording


def _codes_wanted(facts: Facts) -> int:
    """Return the fewest that a team of this sign-in wants."""
    policies = policies_of(facts.memberships)
    wanted = [policies.get(membership.team.id, T0).backup_codes for membership in facts.memberships]
    return min(wanted, default=T0.backup_codes)


def _recording(recording: Recording) -> Verdict:
    return Verdict(Outcome.CHALLENGE, Reason.RECORD_DUE, mark=Mark.CLEAR, redeems=True, recording=recording)


def _ended(reason: Reason, mark: Mark = Mark.REFUND) -> Verdict:
    return Verdict(Outcome.REJECT, reason, mark=mark, redeems=True)
