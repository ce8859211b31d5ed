"""Mail over real SMTP, with STARTTLS and login: what is handed over, and what is said when it can't be."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from email.headerregistry import Address
from pathlib import Path

import pytest

from radiusd_mfa.delivery.letters import Templates
from radiusd_mfa.delivery.mail import MailCarrier, Server
from radiusd_mfa.delivery.problems import DeliveryProblem, UnreachableProblem
from radiusd_mfa.usecases.outbox_ports import Channel, Claimed, Mail
from tests.support.post import PASSWORD, USER, Mailbox, body, mail_server

LINK = "https://mfa.example.net/reset/canary-link"
SENDER = Address("Example Ltd", addr_spec="mfa@example.net")


def reset(recipient: str = "alice@example.org", **values: object) -> Claimed:
    return Claimed(
        id=7,
        kind=Mail.RESET_LINK,
        channel=Channel.MAIL,
        recipient=recipient,
        values={"user": "alice", "at": 1.8e9, "actor": "", "link": LINK, "expires": 1.8e9 + 3600, **values},
        created_at=1.8e9,
        expires_at=1.8e9 + 3600,
        tries=1,
        until=1.8e9 + 300,
        message_id="0123abcd",
    )


def server(mailbox: Mailbox, *, security: str = "starttls", password: str = PASSWORD) -> Server:
    return Server("127.0.0.1", mailbox.port, security, USER, password)


def carrier(to: Server) -> MailCarrier:
    return MailCarrier(to, SENDER, Templates(None, issuer="Example Ltd", portal_url=None))


@pytest.fixture
def carried(mailbox: Mailbox, pem: Path) -> Iterator[MailCarrier]:
    with mail_server(mailbox, pem):
        made = carrier(server(mailbox))
        yield made
        made.rest()


def why(claimed: Claimed, made: MailCarrier, kind: type[DeliveryProblem] = DeliveryProblem) -> str:
    """Try to deliver and return the sentence, which neither alone nor with its causes tells a secret."""
    with pytest.raises(kind) as caught:
        made.deliver(claimed)
    problem: BaseException | None = caught.value
    assert problem is not None
    assert problem.__suppress_context__ or problem.__context__ is None
    assert "canary" not in str(problem)
    return str(problem)


# The server does not see that its whole connection is TLS.
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_mail_arrives_over_tls_with_both_bodies(mailbox: Mailbox, pem: Path, security: str) -> None:
    with mail_server(mailbox, pem, security=security):
        made = carrier(server(mailbox, security=security))
        made.deliver(reset())
        made.rest()
    [message] = mailbox.received
    assert message["From"] == "Example Ltd <mfa@example.net>"
    assert message["To"] == "alice@example.org"
    assert message["Message-ID"] == "<0123abcd@example.net>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime.timestamp() == 1.8e9
    assert "Example Ltd" in message["Subject"]
    assert message.get_content_type() == "multipart/alternative"
    assert f"\n{LINK}\n" in body(message)
    assert f'<a href="{LINK}"' in body(message, "html")


def test_two_mails_share_a_connection(mailbox: Mailbox, carried: MailCarrier) -> None:
    carried.deliver(reset())
    connection = carried._open
    carried.deliver(replace(reset("bob@example.org"), message_id="ffff"))
    assert carried._open is connection
    assert mailbox.ids == ["<0123abcd@example.net>", "<ffff@example.net>"]


def test_a_server_without_starttls_is_sent_nothing(mailbox: Mailbox, pem: Path) -> None:
    with mail_server(mailbox, pem, security="none"):
        assert "can't do what is needed" in why(reset(), carrier(server(mailbox)), UnreachableProblem)
    assert mailbox.received == []


def test_a_server_on_this_machine_needs_neither_tls_nor_login(mailbox: Mailbox, pem: Path) -> None:
    with mail_server(mailbox, pem, security="none"):
        made = carrier(Server("127.0.0.1", mailbox.port, "none"))
        made.deliver(reset())
        made.rest()
    assert len(mailbox.received) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(
    mailbox: Mailbox, pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with mail_server(mailbox, pem):
        assert "a certificate that is not trusted" in why(reset(), carrier(server(mailbox)), UnreachableProblem)
    assert mailbox.received == []


def test_a_certificate_of_another_name_is_refused(mailbox: Mailbox, pem: Path) -> None:
    with mail_server(mailbox, pem):
        made = carrier(replace(server(mailbox), host="127.0.0.2"))
        with pytest.raises(UnreachableProblem):
            made.deliver(reset())
    assert mailbox.received == []


def test_a_wrong_password_is_told_without_the_password(mailbox: Mailbox, pem: Path) -> None:
    with mail_server(mailbox, pem):
        wrong = carrier(server(mailbox, password="canary-wrong"))
        assert "refused the login: 535" in why(reset(), wrong, UnreachableProblem)


def test_a_server_that_is_not_there_is_unreachable(mailbox: Mailbox) -> None:
    assert "can't be reached: Connection refused" in why(reset(), carrier(server(mailbox)), UnreachableProblem)


def test_a_refused_recipient_is_told_in_the_words_of_the_server(mailbox: Mailbox, carried: MailCarrier) -> None:
    mailbox.on_recipient = lambda _recipient: "550 5.1.1 nobody\x1b[31m here"
    sentence = why(reset(), carried)
    assert "refused the recipient: 550" in sentence
    assert "5.1.1 nobody" in sentence
    assert sentence.isprintable()
    mailbox.on_recipient = lambda _recipient: None
    carried.deliver(reset())
    assert len(mailbox.received) == 1


def test_what_a_server_says_about_the_content_is_not_repeated(mailbox: Mailbox, carried: MailCarrier) -> None:
    mailbox.on_message = lambda message: f"554 5.7.1 I don't like {body(message).splitlines()}"
    assert "refused the mail: 554" in why(reset(), carried)


def test_a_domain_of_other_letters_is_written_for_the_network(mailbox: Mailbox, carried: MailCarrier) -> None:
    carried.deliver(reset("alice@bücher.example"))
    assert mailbox.received[0]["To"] == "alice@xn--bcher-kva.example"


@pytest.mark.parametrize("step", ["recipient", "message"])
def test_a_server_that_is_going_away_is_left_alone(mailbox: Mailbox, carried: MailCarrier, step: str) -> None:
    """By 421 it speaks of itself, whatever it answers: the next mail would be told the same."""
    setattr(mailbox, f"on_{step}", lambda _what: "421 4.3.2 shutting down")
    assert "421" in why(reset(), carried, UnreachableProblem)
    setattr(mailbox, f"on_{step}", lambda _what: "451 4.7.1 later")
    with pytest.raises(DeliveryProblem) as caught:
        carried.deliver(reset())
    assert not isinstance(caught.value, UnreachableProblem)


@pytest.mark.parametrize(
    "recipient", ["alice", "alice@", "a@b\r\nBcc: c@example.org", "a,b@example.org", "@example.org", "é@example.org"]
)
def test_what_is_no_address_is_refused_and_adds_no_header(
    mailbox: Mailbox, carried: MailCarrier, recipient: str
) -> None:
    assert why(reset(recipient), carried) == "the address is none that mail can be sent to"
    assert mailbox.received == []


def test_nothing_of_a_conversation_is_logged(
    mailbox: Mailbox, carried: MailCarrier, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox.on_message = lambda _message: "451 later"
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # the server's own
    with caplog.at_level(logging.DEBUG, "radiusd_mfa"):
        why(reset(), carried)
    assert "canary" not in "".join(record.getMessage() for record in caplog.records if "radiusd_mfa" in record.name)


def test_the_password_of_the_server_is_shown_nowhere(mailbox: Mailbox) -> None:
    assert PASSWORD not in repr(server(mailbox))
