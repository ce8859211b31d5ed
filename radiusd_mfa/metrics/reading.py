"""Metrics as `top` reads them: asked for by HTTP, and two readings compared."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from radiusd_mfa.config import Endpoint

_PREFIX: Final = "radiusd_mfa_"
_PATIENCE: Final = 5.0
_LONGEST: Final = 8 << 20
"""Octets that are read at most; some thousand series have 300 KB."""
_LOCAL: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to ask what listens everywhere
Labels = tuple[tuple[str, str], ...]


class UnreachableProblem(Exception):
    """No metrics came; the sentence says from where and why."""


@dataclass(frozen=True, slots=True)
class Reading:
    """All samples of one server at one moment, by name and labels."""

    samples: Mapping[str, Mapping[Labels, float]] = field(repr=False)

    @classmethod
    def of(cls, text: str) -> "Reading":
        """Read the text format; raises ValueError where it is something else."""
        samples: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                of_name = samples.setdefault(sample.name.removeprefix(_PREFIX), {})
                of_name[tuple(sorted(sample.labels.items()))] = sample.value
        if "build_info" not in samples:
            raise ValueError("these are no metrics of radiusd-mfa")
        return cls(samples)

    def value(self, name: str, **labels: str) -> float | None:
        """Return a sample; None where there is none."""
        return self.samples.get(name, {}).get(tuple(sorted(labels.items())))

    def by(self, name: str, label: str) -> dict[str, float]:
        """Return the sums by one label."""
        found: dict[str, float] = {}
        for labels, value in self.samples.get(name, {}).items():
            of = dict(labels)[label]
            found[of] = found.get(of, 0.0) + value
        return found


def fetch(endpoint: Endpoint) -> Reading:
    """Ask a server for its metrics; raises UnreachableProblem."""
    asked = Endpoint(_LOCAL.get(endpoint.host, endpoint.host), endpoint.port)
    connection = HTTPConnection(asked.host, asked.port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/metrics")
        return Reading.of(connection.getresponse().read(_LONGEST).decode())
    except OSError as error:
        why = error.strerror or str(error)
        raise UnreachableProblem(
            f"No server answers at http://{asked}/metrics ({why}). Is `radiusd-mfa serve` running, with metrics_listen?"
        ) from error
    except (HTTPException, ValueError, KeyError) as error:
        raise UnreachableProblem(f"What answers at http://{asked}/metrics is no radiusd-mfa: {error}") from error
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Between:
    """What came about between two readings of one server; a count that fell began anew with the server."""

    before: Reading
    after: Reading

    @property
    def seconds(self) -> float:
        """How far they are apart, by the server's own clock; 0: they are the same one, or the clock was set back."""
        return max(0.0, (self.after.value("clock_seconds") or 0.0) - (self.before.value("clock_seconds") or 0.0))

    def rates(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return how fast counts grow, a second, by these labels."""
        found: dict[tuple[str, ...], float] = {}
        for by, more in self._grown(name):
            key = tuple(by[label] for label in labels)
            found[key] = found.get(key, 0.0) + (more / self.seconds if self.seconds else 0.0)
        return found

    def quantiles(self, name: str, wanted: Sequence[float], **labels: str) -> tuple[float, ...] | None:
        """Return quantiles of what came meanwhile, as Prometheus estimates them; None: nothing came."""
        buckets = sorted(
            (float(by["le"]), more)
            for by, more in self._grown(f"{name}_bucket")
            if all(by[label] == value for label, value in labels.items())
        )
        if not buckets or not buckets[-1][1]:
            return None
        return tuple(_quantile(buckets, each) for each in wanted)

    def _grown(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        before = self.before.samples.get(name, {})
        for labels, value in self.after.samples.get(name, {}).items():
            earlier = before.get(labels, 0.0)
            yield dict(labels), value - earlier if value >= earlier else value


def _quantile(buckets: Sequence[tuple[float, float]], wanted: float) -> float:
    """Estimate as if what is in a bucket lay evenly in it; beyond the last bound, that bound."""
    rank = wanted * buckets[-1][1]
    low, below = 0.0, 0.0
    for bound, reached in buckets:
        if reached >= rank and reached > below:
            return low if bound == float("inf") else low + (bound - low) * (rank - below) / (reached - below)
        low, below = (low if bound == float("inf") else bound), reached
    return low
