"""`radiusd-mfa outbox`: mail and SMS on their way out."""

import signal
from threading import Event

import click

from radiusd_mfa.cli.commands import Group
from radiusd_mfa.cli.output import emit, say, table, timestamp
from radiusd_mfa.cli.session import Session, granted, with_session
from radiusd_mfa.logs import begin_log
from radiusd_mfa.usecases import outbox as waiting
from radiusd_mfa.usecases.outbox_ports import Delivery, Status


@click.group(cls=Group, example="radiusd-mfa outbox list --status given-up\nradiusd-mfa outbox retry --all")
def outbox() -> None:
    """Deliver mail and SMS, and see what became of them."""


@outbox.command("run", example="radiusd-mfa outbox run")
@click.option("--once", is_flag=True, help="Deliver what is due now, and end.")
@with_session
def run(session: Session, once: bool) -> None:
    """Deliver mail and SMS until SIGTERM or Ctrl-C; may run on several nodes.

    Prints one line when it is ready. SIGTERM finishes the message that is being handed over.
    """
    worker = session.open().delivery()
    begin_log(session.config)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # to end by it looks like a wish, and nobody would start it again
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    if once:
        delivered = worker.round(stop)
        emit(session, {"delivered": delivered}, lambda: say(f"{delivered} delivered."))
        return
    if not session.json:
        say("radiusd-mfa delivers what is in the outbox")
    worker.run(stop)


@outbox.command("list", example="radiusd-mfa outbox list --status waiting")
@click.option("--status", type=click.Choice([each.value for each in Status]), help="Only what is in this state.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="At most so many.")
@with_session
def list_(session: Session, status: str | None, limit: int) -> None:
    """List what was or is to be delivered, the newest first; never what it says."""
    store = session.open().administration
    found = waiting.entries(Status(status) if status else None, limit=limit, store=store)
    headings = ("ID", "STATUS", "CREATED", "KIND", "RECIPIENT", "TRIES", "NEXT TRY", "LAST ERROR")
    rows = [
        (
            each.id,
            each.status.value,
            timestamp(each.created_at),
            each.kind,
            each.recipient,
            each.tries,
            timestamp(each.due_at),
            each.last_error,
        )
        for each in found
    ]
    emit(
        session, [_described(each) for each in found], lambda: table(headings, rows, empty="There is nothing of that.")
    )


@outbox.command("retry", example="radiusd-mfa outbox retry 17\nradiusd-mfa outbox retry --all")
@click.argument("number", metavar="[ID]", type=click.IntRange(min=1), required=False)
@click.option("--all", "everything", is_flag=True, help="Whatever was not sent and can still be of use.")
@with_session
def retry(session: Session, number: int | None, everything: bool) -> None:
    """Try again at once what waits or was given up, with as much time as it had when it was new."""
    if everything == (number is not None):
        raise click.UsageError("Either an ID or --all.")
    app = session.open()
    if number is None:
        again = waiting.retry_all(store=app.administration, clock=app.clock)
    else:
        again = [granted(waiting.retry(number, store=app.administration, clock=app.clock))]
    document = {"retried": [each.id for each in again]}
    emit(session, document, lambda: say(f"{len(again)} will be tried again at once."))


def _described(each: Delivery) -> dict[str, object]:
    return {
        "id": each.id,
        "status": each.status.value,
        "created": timestamp(each.created_at),
        "channel": each.channel.value,
        "kind": each.kind,
        "user": each.user,
        "recipient": each.recipient,
        "tries": each.tries,
        "next_try": timestamp(each.due_at),
        "given_up_at": timestamp(each.expires_at),
        "sent": timestamp(each.sent_at),
        "last_error": each.last_error,
    }
