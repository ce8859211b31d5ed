"""What a message says, and whose templates say it."""

from pathlib import Path

import pytest

from radiusd_mfa.delivery.letters import _SAMPLE, Templates
from radiusd_mfa.delivery.problems import DeliveryProblem, SetUpProblem
from radiusd_mfa.usecases.outbox_ports import NEEDS, SMS_CODE, Mail

NASTY = "<script>alert(1)</script>\"'&"


def templates(directory: Path | None = None, portal_url: str | None = "https://mfa.example.net/") -> Templates:
    return Templates(directory, issuer="Example Ltd", portal_url=portal_url)


def values(mail: Mail, **more: object) -> dict[str, object]:
    """Return what a use case gives for a mail of this kind, and nothing else."""
    return {name: value for name, value in _SAMPLE.items() if name in {"user", "at", "actor", *NEEDS[mail]}} | more


@pytest.mark.parametrize("mail", Mail)
@pytest.mark.parametrize("portal_url", ["https://mfa.example.net/", None])
def test_every_kind_can_be_written_from_what_it_is_given(mail: Mail, portal_url: str | None) -> None:
    letter = templates(portal_url=portal_url).letter(mail, values(mail))
    assert "Example Ltd" in letter.subject
    assert "alice" in letter.plain
    assert "alice" in letter.html
    assert "None" not in letter.plain + letter.html


@pytest.mark.parametrize("mail", Mail)
def test_nothing_that_is_given_breaks_out_of_the_html(mail: Mail) -> None:
    texts = {name: NASTY for name, value in values(mail).items() if isinstance(value, str) and name != "method"}
    letter = templates().letter(mail, values(mail, **texts))
    assert "<script" not in letter.html
    assert "&lt;script&gt;" in letter.html
    assert NASTY in letter.plain


def test_no_value_adds_a_header(tmp_path: Path) -> None:
    (tmp_path / "mfa-disabled.txt").write_text("Subject: {{ user }}\n\ntext\n")
    letter = templates(tmp_path).letter(Mail.MFA_DISABLED, values(Mail.MFA_DISABLED, user="a\r\nBcc: b@example.org"))
    assert "\n" not in letter.subject
    assert "\r" not in letter.subject


def test_a_missing_value_is_a_failure_and_no_empty_place() -> None:
    with pytest.raises(DeliveryProblem, match=r"the template reset-link.txt fails: UndefinedError"):
        templates().letter(Mail.RESET_LINK, {"user": "alice", "at": 1.0, "actor": ""})


def test_a_template_of_the_directory_stands_in_for_one_of_ours_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "mfa-disabled.txt").write_text("Subject: Gone, {{ user }}\n\nAm {{ at|moment }}.\n")
    ours, own = templates(), templates(tmp_path)
    letter = own.letter(Mail.MFA_DISABLED, values(Mail.MFA_DISABLED))
    assert (letter.subject, letter.plain) == ("Gone, alice", "Am 15 January 2027, 08:00 UTC.\n")
    assert letter.html == ours.letter(Mail.MFA_DISABLED, values(Mail.MFA_DISABLED)).html
    assert own.letter(Mail.METHOD_RESET, values(Mail.METHOD_RESET)) == ours.letter(
        Mail.METHOD_RESET, values(Mail.METHOD_RESET)
    )


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("mfa-disabled.txt", "no subject\n", "the first line of the template mfa-disabled.txt is not: Subject"),
        ("mfa-disabled.html", "{{ nothing }}", "'nothing' is undefined"),
        ("layout.html", "\n{% if %}", "layout.html, line 2"),
        ("sms-code.txt", "{{ 1 / 0 }}", "division by zero"),
        ("footer.txt", "{% include 'absent.txt' %}", "absent.txt"),
        # Values that other kinds have: it would fail at every mail, and a mail that fails is not sent.
        ("mfa-disabled.html", "{{ link }}", "'link' is undefined"),
        ("layout.html", "{{ count }}", "'count' is undefined"),
        ("sms-code.txt", "{{ code }} for {{ user }}", "'user' is undefined"),
    ],
)
def test_a_template_that_can_not_work_is_said_before_anything_is_sent(
    tmp_path: Path, name: str, text: str, sentence: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SetUpProblem, match=sentence):
        templates(tmp_path)


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetUpProblem, match="is not a directory"):
        templates(tmp_path / "absent")


@pytest.mark.parametrize(("left", "said"), [(0, "There is none left"), (1, "One is left"), (7, "7 are left")])
def test_a_used_backup_code_says_how_many_are_left(left: int, said: str) -> None:
    letter = templates().letter(Mail.BACKUP_CODE_USED, values(Mail.BACKUP_CODE_USED, left=left))
    assert said in letter.plain
    assert said in letter.html


def test_a_text_message_fits_into_one_and_begins_with_the_code() -> None:
    text = templates().text(SMS_CODE, {"code": "492039", "minutes": 10})
    assert text.startswith("492039 ")
    assert len(text) <= 160
    assert text.isascii()
