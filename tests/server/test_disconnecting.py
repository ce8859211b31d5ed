"""Disconnect-Requests over real sockets: what a NAS gets, and what is made of its answer or of none."""

import socket

from radiusd_mfa.config import Endpoint
from radiusd_mfa.radius.disconnect import Answer
from radiusd_mfa.server.disconnecting import Unanswered, disconnect
from tests.support.cut_off import Taking, ack, is_genuine, nak, taking

SECRET = b"a secret of the tests"


def _disconnect(nas: Taking, **options: float) -> Answer | Unanswered:
    return disconnect("alice", Endpoint("127.0.0.1", nas.port), secret=SECRET, **options)


def test_an_answer_with_another_secret_is_no_answer() -> None:
    with taking(ack(b"another secret")) as nas:
        assert _disconnect(nas, patience=0.3) is Unanswered.NOT_GENUINE


def test_no_answer_is_told_after_several_tries_with_the_same_octets() -> None:
    with taking(lambda _request, _count: None) as nas:
        assert _disconnect(nas, patience=0.5, retry_after=0.1) is Unanswered.NO_REPLY
    assert len(nas.requests) > 1
    assert len(set(nas.requests)) == 1


def test_a_closed_port_is_told_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert disconnect("alice", Endpoint("127.0.0.1", port), secret=SECRET) is Unanswered.NOBODY_LISTENS


def test_a_name_that_fits_no_packet_is_not_sent() -> None:
    with taking(ack(SECRET)) as nas:
        where = Endpoint("127.0.0.1", nas.port)
        assert disconnect("a" * 254, where, secret=SECRET) is Unanswered.NOT_SENT
    assert nas.requests == []


def test_a_lost_request_is_sent_again() -> None:
    answers = ack(SECRET)
    with taking(lambda request, count: None if count == 1 else answers(request, count)) as nas:
        assert _disconnect(nas, patience=20.0, retry_after=0.1) == Answer(done=True)
    assert nas.users == [b"alice"] * len(nas.requests)
    assert all(is_genuine(request, SECRET) for request in nas.requests)


def test_a_refusal_has_its_cause() -> None:
    with taking(nak(SECRET, 503)) as nas:
        assert _disconnect(nas, patience=20.0) == Answer(done=False, error_cause=503)
