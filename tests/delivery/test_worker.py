"""The worker over a real mail server, on both databases: nothing is lost, nothing is sent twice, nothing is told."""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from sqlalchemy import select, update

from radiusd_mfa.app import App
from radiusd_mfa.config import Config
from radiusd_mfa.core.names import Username
from radiusd_mfa.delivery import worker as worker_module
from radiusd_mfa.delivery.problems import UnreachableProblem
from radiusd_mfa.delivery.worker import CLAIM, LONGEST_PAUSE, Worker, pause
from radiusd_mfa.store import schema
from radiusd_mfa.store.outbox_queue import OutboxQueue
from radiusd_mfa.usecases import outbox, people
from radiusd_mfa.usecases.changes import Refusal
from radiusd_mfa.usecases.mails import tell
from radiusd_mfa.usecases.outbox_ports import KEPT, WORTH_TELLING, Channel, Claimed, Delivery, Mail, Status
from radiusd_mfa.usecases.people import Request
from radiusd_mfa.usecases.ports import StoreFault
from tests.conftest import CHEAP
from tests.support.administered import StoppedClock
from tests.support.post import Mailbox, body, mail_server

LINK = "https://mfa.example.net/reset/canary-link"


class Post:
    """An App whose clock stands still, and what its outbox is filled with."""

    def __init__(self, app: App) -> None:
        self.clock = StoppedClock()
        self.app = replace(app, clock=self.clock)
        self.stop = Event()

    def user(self, name: str = "alice", email: str | None = "alice@example.org") -> Username:
        user = Username.parse(name)
        request = Request(user, "correct horse", email=email)
        made = people.add(request, store=self.app.administration, hashing=self.app.hashing, clock=self.clock)
        assert not isinstance(made, Refusal)
        return user

    def link(self, user: Username) -> None:
        at = self.clock()
        values = {"link": LINK, "expires": at + 3600}
        self.tell(user, Mail.RESET_LINK, **values)

    def tell(self, user: Username, mail: Mail, **values: Any) -> None:
        store = self.app.administration
        person = store.view(lambda books: books.people.find(user.text))
        assert person is not None
        assert store.change(lambda books: tell(books, person, mail, at=self.clock(), **values))

    def fill(self, count: int) -> None:
        for number in range(count):
            self.tell(self.user(f"user{number}", f"user{number}@example.org"), Mail.MFA_DISABLED)

    def worker(self) -> Worker:
        return self.app.delivery()

    def all(self) -> Sequence[Delivery]:
        return outbox.entries(limit=1000, store=self.app.administration)

    def one(self) -> Delivery:
        [only] = self.all()
        return only

    def retry(self, delivery: Delivery) -> Delivery | Refusal:
        return outbox.retry(delivery.id, store=self.app.administration, clock=self.clock)

    def set(self, **values: object) -> None:
        with self.app.database.writing() as connection:
            connection.execute(update(schema.outbox).values(values))


@pytest.fixture
def post(app: App) -> Post:
    return Post(app)


@pytest.fixture
def up(mailbox: Mailbox, pem: Path) -> Iterator[None]:
    with mail_server(mailbox, pem):
        yield


@pytest.mark.usefixtures("up")
def test_a_mail_is_sent_once(post: Post, mailbox: Mailbox) -> None:
    post.link(post.user())
    worker = post.worker()
    assert (worker.round(post.stop), worker.round(post.stop)) == (1, 0)
    [message] = mailbox.received
    assert LINK in body(message)
    assert (post.one().status, post.one().tries, post.one().due_at) == (Status.SENT, 1, None)


def test_a_user_without_an_address_is_told_nothing(post: Post) -> None:
    user = post.user(email=None)
    person = post.app.administration.view(lambda books: books.people.find(user.text))
    assert person is not None
    assert not post.app.administration.change(lambda books: tell(books, person, Mail.MFA_DISABLED, at=post.clock()))
    assert post.all() == []


def test_a_mail_of_a_change_that_is_not_made_is_not_sent(post: Post) -> None:
    user = post.user()

    def broken(books: object) -> None:
        person = books.people.find(user.text)  # type: ignore[attr-defined]
        tell(books, person, Mail.MFA_DISABLED, at=post.clock())  # type: ignore[arg-type]
        raise StoreFault("the disk is full")

    with pytest.raises(StoreFault):
        post.app.administration.change(broken)
    assert post.all() == []


def test_every_mail_arrives_once_though_the_server_was_down_for_a_while(
    post: Post, mailbox: Mailbox, pem: Path
) -> None:
    post.fill(12)
    worker = post.worker()
    for _ in range(60):
        assert worker.round(post.stop) == 0
        post.clock.now += 30
    with mail_server(mailbox, pem):
        while any(each.status is Status.WAITING for each in post.all()):
            worker.round(post.stop)
            post.clock.now += 30
    assert len(mailbox.received) == 12
    assert len(set(mailbox.ids)) == 12
    assert {each.status for each in post.all()} == {Status.SENT}


def test_a_server_that_is_down_is_asked_by_one_mail_and_not_by_all(post: Post) -> None:
    post.fill(5)
    post.worker().round(post.stop)
    assert sorted(each.tries for each in post.all()) == [0, 0, 0, 0, 1]


@pytest.mark.usefixtures("up")
def test_a_mail_that_nobody_takes_keeps_no_other_waiting(post: Post, mailbox: Mailbox) -> None:
    mailbox.on_recipient = lambda recipient: "550 no" if recipient == "user1@example.org" else None
    post.fill(3)
    assert post.worker().round(post.stop) == 2
    [refused] = [each for each in post.all() if each.status is Status.WAITING]
    assert refused.last_error is not None
    assert "550 no" in refused.last_error


@pytest.mark.usefixtures("up")
def test_a_mail_that_was_refused_is_tried_again_later_and_ever_less_often(post: Post, mailbox: Mailbox) -> None:
    mailbox.on_recipient = lambda _recipient: "451 later"
    post.tell(post.user(), Mail.MFA_DISABLED)
    worker = post.worker()
    waited = []
    for _ in range(12):
        worker.round(post.stop)
        due = post.one().due_at
        assert due is not None
        waited.append(due - post.clock.now)
        post.clock.now = due - 0.001
        worker.round(post.stop)
        assert post.one().tries == len(waited)  # not before it is due
        post.clock.now = due
    assert waited == [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]
    mailbox.on_recipient = lambda _recipient: None
    assert worker.round(post.stop) == 1


def test_no_number_of_tries_makes_the_pause_longer_than_an_hour() -> None:
    assert pause(10**9) == LONGEST_PAUSE


def test_after_three_days_a_mail_is_given_up_with_an_error_in_the_log(
    post: Post, mailbox: Mailbox, pem: Path, caplog: pytest.LogCaptureFixture
) -> None:
    post.tell(post.user(), Mail.MFA_DISABLED)
    worker = post.worker()
    worker.round(post.stop)
    post.clock.now += WORTH_TELLING - 1
    worker.round(post.stop)
    assert post.one().status is Status.WAITING
    post.clock.now += 1
    with caplog.at_level(logging.ERROR), mail_server(mailbox, pem):
        assert worker.round(post.stop) == 0
        assert post.one().status is Status.GIVEN_UP
        assert "given up after 2 tries: mfa-disabled, id 1: 127.0.0.1" in caplog.text
        post.clock.now += 60  # the server may be asked again
        assert not isinstance(post.retry(post.one()), Refusal)
        assert worker.round(post.stop) == 1
    assert len(mailbox.received) == 1


@pytest.mark.usefixtures("up")
def test_a_link_that_has_expired_is_not_sent_and_not_kept(post: Post, mailbox: Mailbox) -> None:
    post.link(post.user())
    post.clock.now += 3600
    assert post.worker().round(post.stop) == 0
    assert (mailbox.received, post.one().status) == ([], Status.GIVEN_UP)
    refused = post.retry(post.one())
    assert isinstance(refused, Refusal)
    assert "has expired" in refused.sentence
    with post.app.database.reading() as connection:
        assert connection.execute(select(schema.outbox.c.payload)).scalar() is None


@pytest.mark.usefixtures("up")
def test_what_was_sent_is_not_sent_again_by_retry(post: Post) -> None:
    post.tell(post.user(), Mail.MFA_DISABLED)
    post.worker().round(post.stop)
    assert isinstance(post.retry(post.one()), Refusal)
    assert outbox.retry_all(store=post.app.administration, clock=post.clock) == []
    assert post.one().status is Status.SENT


@pytest.mark.usefixtures("up")
def test_what_was_sent_is_forgotten_after_a_month(post: Post) -> None:
    post.tell(post.user(), Mail.MFA_DISABLED)
    worker = post.worker()
    worker.round(post.stop)
    post.clock.now += KEPT + 1
    worker.round(post.stop)
    assert post.all() == []


@pytest.mark.usefixtures("up")
def test_two_workers_on_two_nodes_send_each_mail_once(post: Post, mailbox: Mailbox, config: Config) -> None:
    post.fill(30)
    other = App.open(config, profile=CHEAP, clock=post.clock)
    try:
        with ThreadPoolExecutor(2) as threads:
            done = list(threads.map(lambda app: app.delivery().round(post.stop), (post.app, other)))
    finally:
        other.close()
    assert sum(done) == 30
    assert len(mailbox.received) == 30
    assert len(set(mailbox.ids)) == 30


@pytest.mark.usefixtures("up")
def test_a_claim_keeps_others_away_until_it_has_run_out(post: Post, mailbox: Mailbox) -> None:
    """What a worker leaves behind that was killed while sending: a claim, and perhaps a mail that arrived."""
    post.tell(post.user(), Mail.MFA_DISABLED)
    queue = OutboxQueue(post.app.database, post.app.keys)
    dead = queue.claim([Channel.MAIL], now=post.clock(), until=post.clock() + CLAIM)
    assert dead is not None
    worker = post.worker()
    post.clock.now += CLAIM - 1
    assert worker.round(post.stop) == 0
    post.clock.now += 1
    assert worker.round(post.stop) == 1
    # One that was not dead but slow fails now: that must not undo what the other has done.
    queue.failed(dead, "slow", due_at=post.clock())
    assert worker.round(post.stop) == 0
    assert mailbox.ids == [f"<{dead.message_id}@example.net>"]


def test_whoever_lost_the_claim_puts_nothing_off(post: Post) -> None:
    post.tell(post.user(), Mail.MFA_DISABLED)
    queue = OutboxQueue(post.app.database, post.app.keys)
    slow = queue.claim([Channel.MAIL], now=post.clock(), until=post.clock() + 1)
    post.clock.now += 1
    assert slow is not None
    assert queue.claim([Channel.MAIL], now=post.clock(), until=post.clock() + CLAIM) is not None
    queue.failed(slow, "slow", due_at=post.clock())
    assert queue.claim([Channel.MAIL], now=post.clock(), until=post.clock() + CLAIM) is None


@pytest.mark.usefixtures("up")
def test_a_database_that_fails_after_the_mail_was_taken_makes_no_second_one(
    post: Post, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "POLL", 0.0)
    faults = [StoreFault("gone"), StoreFault("gone")]
    noted: Callable[..., None] = OutboxQueue.sent

    def sent(queue: OutboxQueue, claimed: Claimed, *, at: float) -> None:
        if faults:
            raise faults.pop()
        noted(queue, claimed, at=at)

    monkeypatch.setattr(OutboxQueue, "sent", sent)
    post.tell(post.user(), Mail.MFA_DISABLED)
    worker = post.worker()
    assert worker.round(post.stop) == 1
    post.clock.now += CLAIM
    assert worker.round(post.stop) == 0
    assert len(mailbox.received) == 1


@pytest.mark.usefixtures("up")
@pytest.mark.parametrize("payload", [b"", b"nothing sealed", None])
def test_a_mail_that_does_not_open_keeps_no_other_waiting(post: Post, payload: bytes | None) -> None:
    post.tell(post.user(), Mail.MFA_DISABLED)
    post.set(payload=payload)
    post.fill(1)
    assert post.worker().round(post.stop) == 1
    assert "does not open" in (post.all()[-1].last_error or "")


def test_a_payload_that_was_copied_to_another_row_does_not_open(post: Post) -> None:
    post.link(post.user())
    post.fill(1)
    with post.app.database.writing() as connection:
        sealed = connection.execute(select(schema.outbox.c.payload).order_by(schema.outbox.c.id)).scalars().first()
        connection.execute(update(schema.outbox).values(payload=sealed))
    queue = OutboxQueue(post.app.database, post.app.keys)
    claims = [queue.claim([Channel.MAIL], now=post.clock(), until=post.clock() + 1) for _ in range(2)]
    assert [each is not None and each.values is not None for each in claims] == [True, False]


@pytest.mark.usefixtures("up")
def test_a_mail_of_a_kind_that_nobody_knows_keeps_no_other_waiting(post: Post) -> None:
    post.tell(post.user(), Mail.MFA_DISABLED)
    post.set(kind="from-a-newer-program")
    post.fill(1)
    assert post.worker().round(post.stop) == 1


def test_no_link_is_in_the_log_in_an_error_or_in_clear_in_the_database(
    post: Post, mailbox: Mailbox, pem: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """The server repeats what it was sent, a template fails, and the server is gone."""
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # the server's own, in this process
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "reset-link.txt").write_text(
        "Subject: x\n\n{% if user == 'bob' %}{{ link + 1 }}{% endif %}{{ link }}\n"
    )
    post.app = replace(post.app, config=replace(post.app.config, mail_templates=templates))
    mailbox.on_message = lambda message: f"554 I don't like {body(message).splitlines()[0]}"
    with caplog.at_level(logging.DEBUG), mail_server(mailbox, pem):
        post.link(post.user())
        post.link(post.user("bob", "bob@example.org"))
        post.worker().round(post.stop)
    assert len(mailbox.received) == 1
    kept = repr(post.all())
    post.clock.now += 3000
    post.worker().round(post.stop)
    kept += repr(post.all())
    assert "refused the mail: 554" in kept
    assert "the template reset-link.txt fails: TypeError" in kept
    assert "canary" not in caplog.text + kept
    with post.app.database.reading() as connection:
        rows = repr([tuple(row) for row in connection.execute(select(schema.outbox))])
    assert "canary" not in rows
    url = post.app.database.url
    files = Path(str(url.database)).parent.glob("*.sqlite3*") if url.get_backend_name() == "sqlite" else ()
    assert not any(b"canary-link" in path.read_bytes() for path in files)


def test_who_stops_finishes_nothing_but_the_mail_at_hand(post: Post, mailbox: Mailbox, pem: Path) -> None:
    post.fill(3)

    def stop(_message: object) -> None:
        post.stop.set()

    mailbox.on_message = stop
    with mail_server(mailbox, pem):
        post.worker().run(post.stop)
    assert len(mailbox.received) == 1
    assert sorted(each.status for each in post.all()) == [Status.SENT, Status.WAITING, Status.WAITING]


class _AwayAtFirst:
    """Can't be reached once, and takes everything then."""

    def __init__(self) -> None:
        self.asked = 0

    def deliver(self, _claimed: Claimed) -> None:
        self.asked += 1
        if self.asked == 1:
            raise UnreachableProblem("away")

    def rest(self) -> None:
        pass


def test_a_clock_that_is_set_back_keeps_nothing_waiting(post: Post) -> None:
    """A machine that boots an hour ahead of the time must not send nothing for that hour once it is set right."""
    worker = Worker(OutboxQueue(post.app.database, post.app.keys), {Channel.MAIL: _AwayAtFirst()}, post.clock)
    post.clock.now += 3_600
    post.fill(1)
    assert worker.round(post.stop) == 0
    post.clock.now -= 3_600
    post.tell(post.user("bob", "bob@example.org"), Mail.MFA_DISABLED)
    assert worker.round(post.stop) == 1
