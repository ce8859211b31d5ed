"""Puts together what `doctor` found out: every part looks for itself, and what fails is told and stops no other."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network
from typing import Any, Final

from radiusd_mfa.app import FAULTS, UNUSABLE, App
from radiusd_mfa.app import Profile as HashProfile
from radiusd_mfa.config import Config, ConfigProblem
from radiusd_mfa.diagnosis.facts import Clock, Facts, Nas, Outbox, Seals, Trouble
from radiusd_mfa.diagnosis.findings import Area
from radiusd_mfa.diagnosis.people import UNKNOWN
from radiusd_mfa.doctor import machine, people, server
from radiusd_mfa.doctor.habits import habits
from radiusd_mfa.doctor.server import ClientProblem, Door
from radiusd_mfa.installation import NotReadyProblem, open_database, refuse_unfit
from radiusd_mfa.keys import KeyProblem, KeyRing
from radiusd_mfa.radius.attributes import Dictionary
from radiusd_mfa.shipped import dictionaries
from radiusd_mfa.store.database import Database, sqlite_path
from radiusd_mfa.store.examination import Examination, NasRow
from radiusd_mfa.usecases import ports, restore
from radiusd_mfa.usecases.sighting_ports import DAY, Seen, Sighting

_EXPECTED: Final = (*UNUSABLE, *FAULTS, ClientProblem, OSError)
_WEEK: Final = 7 * DAY


def collect(
    load: Callable[[], Config],
    *,
    profile: HashProfile,
    clock: ports.Clock = time.time,
    patience: float = server.PATIENCE,
) -> Facts:
    """Look at everything that can be looked at; `load` reads the settings and may raise ConfigProblem."""
    gathering = _Gathering(clock)
    gathering.put(buffer=machine.buffer())
    try:
        config = load()
    except ConfigProblem as problem:
        gathering.troubles += [Trouble(Area.SETTINGS, "settings", each) for each in problem.problems]
        gathering.looked_at |= {Area.SETTINGS, Area.MACHINE}
        return gathering.facts()
    gathering.settings(config)
    gathering.machine(config)
    gathering.read_keys(config)
    with gathering.looking(Area.DATABASE, "database"):
        database = open_database(config)
        try:
            _Inside(gathering, config, database, profile, patience).look()
        finally:
            database.close()
    return gathering.facts()


class _Gathering:
    """Facts as they come together."""

    def __init__(self, clock: ports.Clock) -> None:
        self.clock = clock
        self.troubles: list[Trouble] = []
        self.looked_at: set[Area] = set()
        self.keys: KeyRing | None = None
        self._found: dict[str, Any] = {}

    def put(self, **found: Any) -> None:  # noqa: ANN401 - a field of Facts each
        """Keep facts by their names."""
        self._found |= found

    def facts(self) -> Facts:
        """Return what came together."""
        looked_at = frozenset(self.looked_at)
        return replace(Facts(self.clock(), self.troubles, looked_at), **self._found)

    @contextmanager
    def looking(self, area: Area, where: str) -> Iterator[None]:
        """Make what is wrong meanwhile a fact."""
        self.looked_at.add(area)
        try:
            yield
        except _EXPECTED as problem:
            self.troubles.append(Trouble(area, where, _sentence(problem)))

    def settings(self, config: Config) -> None:
        """Take what the checks need to know of the settings."""
        self.looked_at.add(Area.SETTINGS)
        self.put(sends_mail=config.smtp_host is not None, sends_sms=config.sends_sms, portal_url=config.portal_url)

    def machine(self, config: Config) -> None:
        """Look at the files and the disk."""
        with self.looking(Area.MACHINE, str(config.state_dir)):
            database = sqlite_path(config.database_url)
            self.put(files=tuple(machine.files(config, database)), disk=machine.disk(database))

    def read_keys(self, config: Config) -> None:
        """Read the key file."""
        with self.looking(Area.KEYS, "key file"):
            self.keys = KeyRing.load(config.key_file)


class _Inside:
    """Looks into a database that could be opened."""

    def __init__(
        self,
        gathering: _Gathering,
        config: Config,
        database: Database,
        profile: HashProfile,
        patience: float,
    ) -> None:
        self._gathering = gathering
        self._config = config
        self._database = database
        self._examination = Examination(database)
        self._keys = gathering.keys
        self._profile = profile
        self._patience = patience

    def look(self) -> None:
        """Look at all of it; raises StoreFault or NotReadyProblem where it can't be looked at at all."""
        refuse_unfit(self._examination.schema())
        self._take_keys()
        for area, where, part in (
            (Area.MACHINE, "clock", self._clock),
            (Area.MACHINE, "disk", self._disk),
            (Area.DATABASE, "database", self._loss),
            (Area.AUDIT, "audit log", self._audit),
            (Area.NAS, "NAS entries", self._nases),
            (Area.PEOPLE, "teams and users", self._people),
            (Area.DELIVERY, "outbox", self._outbox),
            (Area.DELIVERY, "mail and SMS", self._delivery),
        ):
            with self._gathering.looking(area, where):
                part()

    def _take_keys(self) -> None:
        """Keep the keys if they are those of this database."""
        canary, root = self._examination.canary()
        if canary is None:
            raise NotReadyProblem("The database was never initialised; run: radiusd-mfa init")
        if self._keys is None:
            return
        keys, self._keys = self._keys, None
        with self._gathering.looking(Area.KEYS, "key file"):
            keys = keys if root is None else keys.rooted(root)
            keys.check_canary(canary)
            self._keys = keys

    def _clock(self) -> None:
        before = self._gathering.clock()
        theirs = self._examination.clock()
        ours = (before + self._gathering.clock()) / 2
        self._gathering.put(clock=Clock(ours, theirs, self._examination.newest_time()))

    def _disk(self) -> None:
        if (found := machine.disk(sqlite_path(self._config.database_url))) is not None:
            self._gathering.put(disk=replace(found, inside=self._examination.room_inside()))

    def _audit(self) -> None:
        self._gathering.put(seals=Seals(*self._examination.seals()))

    def _loss(self) -> None:
        if self._keys is not None:
            app = App(self._config, self._keys, self._database)
            lost = restore.find_loss(chain=app.audit_chain, marks=app.marks)
            self._gathering.put(loss=None if lost is None else lost.sentence)

    def _nases(self) -> None:
        rows = self._examination.nases()
        secrets = {row.id: self._secret(row) for row in rows}
        # Before the rest, which a slow database may keep: asking a server takes time of its own.
        self._servers(rows, secrets)
        now = self._gathering.clock()
        week, lately = self._examination.seen(now - _WEEK), self._examination.seen(now - DAY)
        of_nas = habits(self._examination.telling_sign_ins())

        def described(row: NasRow) -> Nas:
            secret = secrets[row.id]
            return Nas(
                id=row.id,
                name=row.name,
                address=row.address,
                secret_octets=None if secret is None else len(secret),
                requires_signature=row.message_authenticator != "optional",
                allows_proxy_state=bool(row.allow_proxy_state),
                challenge=bool(row.challenge),
                retry_grace=_number(row.retry_grace),
                week=_seen(week, row),
                lately=_seen(lately, row),
                codes_missing=of_nas.codes_missing.get(row.name, 0),
                repeats=of_nas.repeats.get(row.name, ()),
            )

        self._gathering.put(nases=[described(row) for row in rows], strangers=lately.strangers)

    def _servers(self, rows: Sequence[NasRow], secrets: dict[int, bytes | None]) -> None:
        if self._keys is None:
            return
        doors = list(_doors(rows, secrets))
        asked = []
        for listening in self._config.listen:
            with self._gathering.looking(Area.SERVER, str(listening)):
                if listening.port:
                    asked.append(server.ask(listening, doors, patience=self._patience))
        self._gathering.put(servers=asked)

    def _secret(self, row: NasRow) -> bytes | None:
        if self._keys is None:
            return None
        try:
            return self._keys.open(row.secret, table="nas", column="secret", row=row.id)
        except (KeyProblem, TypeError):  # SQLite keeps any word in any column
            return None

    def _people(self) -> None:
        teams, examination = self._examination.teams(), self._examination
        self._gathering.put(
            policies=list(people.misunderstood(teams)),
            unenrolled=people.unenrolled(teams, examination, now=self._gathering.clock()),
            hashes=examination.hashes(people.kinds_of_hashes(self._profile), otherwise=UNKNOWN),
        )
        profiles = examination.profiles()
        if profiles:  # the dictionaries take a while to be read
            self._gathering.put(profiles=list(people.unsendable(profiles, Dictionary.load(dictionaries()))))

    def _outbox(self) -> None:
        self._gathering.put(outbox=Outbox(*self._examination.outbox(self._gathering.clock())))

    def _delivery(self) -> None:
        if self._keys is not None and (self._config.smtp_host is not None or self._config.sends_sms):
            App(self._config, self._keys, self._database).delivery()


def _doors(rows: Sequence[NasRow], secrets: dict[int, bytes | None]) -> Iterator[Door]:
    for row in rows:
        secret = secrets[row.id]
        try:
            network = ip_network(row.address)
        except ValueError:
            continue  # a check tells of it
        if secret:
            yield Door(network, secret, expects_signed=row.reply_message_authenticator != "never")


def _seen(seen: Seen, row: NasRow) -> Sighting:
    return seen.nases.get(row.id) or Sighting()


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _sentence(problem: Exception) -> str:
    if isinstance(problem, OSError):
        name = f"{problem.filename}: " if problem.filename is not None else ""
        return f"{name}{problem.strerror or problem}"
    text = str(problem)
    return text[:1].upper() + text[1:]
