"""Puts the parts of the delivery together, as the settings say, and refuses settings with which nothing can be sent."""

from pathlib import Path

from radiusd_mfa.config import Config
from radiusd_mfa.config_delivery import sender
from radiusd_mfa.delivery.apprise_sender import AppriseSender
from radiusd_mfa.delivery.letters import Templates
from radiusd_mfa.delivery.mail import MailCarrier, Server
from radiusd_mfa.delivery.problems import SetUpProblem
from radiusd_mfa.delivery.sms import Gateway, HttpSender, Sender, SmsCarrier
from radiusd_mfa.delivery.worker import Carrier, Worker
from radiusd_mfa.private_files import PrivateFileProblem, read_private
from radiusd_mfa.usecases.outbox_ports import Channel, OutboxStore
from radiusd_mfa.usecases.ports import Clock


def open_office(config: Config, store: OutboxStore, clock: Clock) -> Worker:
    """Make a worker for all channels that are configured; raises SetUpProblem."""
    templates = Templates(config.mail_templates, issuer=config.issuer, portal_url=config.portal_url)
    carriers: dict[Channel, Carrier] = {}
    if config.smtp_host is not None:
        carriers[Channel.MAIL] = MailCarrier(
            _server(config, config.smtp_host), sender(config.mail_from or ""), templates
        )
    by_sms = _sms_sender(config)
    if by_sms is not None:
        carriers[Channel.SMS] = SmsCarrier(by_sms, templates)
    if not carriers:
        raise SetUpProblem(
            "Nothing can be sent: set smtp_host and mail_from for mail, sms_url or sms_apprise_file for SMS."
        )
    return Worker(store, carriers, clock)


def _server(config: Config, host: str) -> Server:
    password = _secret(config.smtp_password_file, "smtp_password_file")
    for setting, text in (("smtp_user", config.smtp_user), ("smtp_password_file", password)):
        if not (text or "").isascii():
            raise SetUpProblem(
                f"{setting}: has letters beyond ASCII, which can't be sent at the sign-in to a mail server"
            )
    return Server(host, config.smtp_port, config.smtp_security, config.smtp_user, password)


def _sms_sender(config: Config) -> Sender | None:
    if config.sms_apprise_file is not None:
        return AppriseSender(_secret(config.sms_apprise_file, "sms_apprise_file") or "")
    if config.sms_url is None:
        return None
    gateway = Gateway(
        url=config.sms_url,
        method=config.sms_method,
        headers=config.sms_headers,
        body=config.sms_body,
        user=config.sms_user,
        secret=_secret(config.sms_secret_file, "sms_secret_file") or "",
    )
    return HttpSender(gateway)


def _secret(path: Path | None, setting: str) -> str | None:
    """Read the one line of a file that nobody else may read."""
    if path is None:
        return None
    try:
        text = read_private(path).decode()
    except PrivateFileProblem as problem:
        raise SetUpProblem(f"{setting}: {problem}") from problem
    except UnicodeDecodeError:
        # Not chained: the message would show octets of the file.
        raise SetUpProblem(f"{setting}: {path} is not text") from None
    lines = text.splitlines()
    if len(lines) != 1 or not lines[0]:
        raise SetUpProblem(f"{setting}: {path} must hold one line")
    return lines[0]
