"""A real scrape of real daemons, of one worker and of two, on both databases: sums, restarts, reloads; no secret."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from radiusd_mfa.radius.wire import Code
from tests.processes.conftest import Node, Nodes
from tests.support.taps import eventually
from tests.support.world import TestUser, World

Samples = dict[str, float]
DOCS = Path(__file__).parents[2] / "docs"
RULES = DOCS / "prometheus" / "radiusd-mfa.rules.yml"

ON_SQLITE = pytest.mark.parametrize("dialect", ["sqlite"])
"""Counting has nothing to do with the kind of database."""


@pytest.fixture
def node(world: World, nodes: Nodes) -> Node:
    world.nas()
    nodes.environ["RADIUSD_MFA_METRICS_LISTEN"] = "127.0.0.1:0"
    return nodes.start()


@pytest.fixture
def alice(world: World, node: Node) -> TestUser:
    assert node.address
    return world.user()


def scraped(node: Node) -> str:
    found = node.process.wait_for(r"metrics are at http://([\d.]+):(\d+)/metrics")
    connection = HTTPConnection(found[1], int(found[2]), timeout=10)
    connection.request("GET", "/metrics")
    return connection.getresponse().read().decode()


def samples(node: Node) -> Samples:
    """Every sample by its name and labels, as `name{label="value"}`."""
    families = text_string_to_metric_families(scraped(node))
    return {
        each.name + "".join(f"{{{name}={value}}}" for name, value in sorted(each.labels.items())): each.value
        for family in families
        for each in family.samples
    }


def comes_to(node: Node, name: str, wanted: Callable[[float], bool]) -> float:
    def value() -> tuple[float] | None:
        found = samples(node).get(f"radiusd_mfa_{name}", -1.0)
        return (found,) if wanted(found) else None

    (found,) = eventually(value, within=20)
    assert isinstance(found, float)
    return found


def sign_ins(node: Node) -> float:
    return sum(value for name, value in samples(node).items() if name.startswith("radiusd_mfa_sign_ins_total"))


def test_the_scrape_has_the_sum_of_all_workers(world: World, node: Node, alice: TestUser) -> None:
    nas = world.client(node.address)
    for identifier in range(8):
        assert nas.ask("nobody", b"x", identifier=identifier).code is Code.ACCESS_REJECT
    typed = alice.typed()
    assert nas.ask("alice", typed).code is Code.ACCESS_ACCEPT
    assert nas.ask("alice", typed).code is Code.ACCESS_REJECT
    stranger = world.client(node.address, secret=b"wrong")
    assert stranger.is_ignored(*stranger.request("alice", b"x"))
    comes_to(node, "sign_ins_total{outcome=reject}{reason=unknown-user}", (8.0).__eq__)
    comes_to(node, "sign_ins_total{outcome=accept}{reason=totp}", (1.0).__eq__)
    comes_to(node, "sign_ins_total{outcome=reject}{reason=code-reused}", (1.0).__eq__)
    comes_to(node, "nas_sign_ins_total{nas=vpn}{outcome=reject}", (9.0).__eq__)
    comes_to(node, "sign_in_stage_seconds_count{stage=total}", (10.0).__eq__)
    comes_to(node, "hashes_total", (1.0).__le__)
    comes_to(node, "dropped_total{cause=message-authenticator-wrong}", (1.0).__eq__)
    comes_to(node, "nas_dropped_packets_total{nas=vpn}", (1.0).__eq__)
    now = samples(node)
    for worker in range(node.workers):
        assert now[f"radiusd_mfa_worker_healthy{{worker={worker}}}"] == 1
        assert now[f"radiusd_mfa_worker_resident_memory_bytes{{worker={worker}}}"] > 1e6
    assert f"radiusd_mfa_worker_healthy{{worker={node.workers}}}" not in now


@ON_SQLITE
def test_no_count_goes_down_or_twice_when_settings_are_reloaded(world: World, node: Node) -> None:
    nas = world.client(node.address)
    for identifier in range(4):
        nas.ask("nobody", b"x", identifier=identifier)
    assert world.client(node.address).is_ignored(b"junk")
    eventually(lambda: sign_ins(node) == 4)
    comes_to(node, "dropped_total{cause=short}", (1.0).__eq__)
    node.process.popen.send_signal(signal.SIGHUP)
    node.process.wait_for("(?s)" + ".*reloaded: " * node.workers)
    for identifier in range(4):
        nas.ask("nobody", b"x", identifier=identifier)
    eventually(lambda: sign_ins(node) == 8)
    time.sleep(1.2)  # both daemons have looked once more
    assert samples(node)["radiusd_mfa_dropped_total{cause=short}"] == 1


@ON_SQLITE
@pytest.mark.parametrize("workers", [2], ids="{} workers".format)
def test_no_count_goes_down_when_a_worker_dies(world: World, node: Node) -> None:
    nas = world.client(node.address)
    for identifier in range(4):
        nas.ask("nobody", b"x", identifier=identifier)
    before = samples(node)
    victim = worker_process(node, 0)
    os.kill(victim, signal.SIGKILL)
    node.process.wait_for("worker 0 ended")
    assert sign_ins(node) >= 4
    comes_to(node, "worker_starts_total{worker=0}", (2.0).__eq__)
    for identifier in range(4):
        nas.ask("nobody", b"x", identifier=identifier, timeout=20)
    eventually(lambda: sign_ins(node) == 8)
    after = samples(node)
    counts = [name for name in before if "_total" in name or "_count" in name or "_bucket" in name]
    assert {name for name in counts if after[name] < before[name] and "cpu" not in name} == set()


@ON_SQLITE
@pytest.mark.parametrize("workers", [2], ids="{} workers".format)
def test_the_metrics_come_back_when_their_process_dies(node: Node) -> None:
    assert sign_ins(node) == 0
    processes = Path(f"/proc/{node.process.popen.pid}/task/{node.process.popen.pid}/children").read_text().split()
    workers = {worker_process(node, number) for number in range(2)}
    (beside,) = {int(each) for each in processes} - workers
    os.kill(beside, signal.SIGKILL)
    node.process.wait_for("the process beside the workers ended")
    assert sign_ins(node) == 0


def worker_process(node: Node, number: int) -> int:
    """Return the process of a worker; they are started in their order."""
    pid = node.process.popen.pid
    children = sorted(int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return children[number]


@ON_SQLITE
def test_an_address_that_is_taken_is_said_before_anything_is_served(world: World, node: Node, nodes: Nodes) -> None:
    assert world.url
    found = node.process.wait_for(r"metrics are at http://(\S+)/metrics")
    nodes.environ["RADIUSD_MFA_METRICS_LISTEN"] = found[1]
    with pytest.raises(AssertionError, match="metrics_listen: can't listen on"):
        nodes.start()


@ON_SQLITE
def test_the_list_of_metrics_is_the_scrape(node: Node) -> None:
    """Name, kind and labels of each; a metric without a sample yet has its TYPE line all the same."""
    comes_to(node, "outbox_waiting", (0.0).__eq__)
    told = dict(re.findall(r"^# TYPE (\S+) (\S+)$", scraped(node), flags=re.MULTILINE))
    rows = re.findall(r"^\| `(radiusd_mfa_\w+)` \| (\w+) \|", (DOCS / "monitoring.md").read_text(), flags=re.MULTILINE)
    assert dict(rows) == told
    assert len(rows) == len(told)


def queries() -> dict[str, str]:
    """Every query of the dashboard and of the alerts, by its file and place."""
    dashboard = json.loads((DOCS / "grafana" / "radiusd-mfa.json").read_text())
    found = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in dashboard["panels"]
        for target in panel.get("targets", ())
    }
    found["instances"] = dashboard["templating"]["list"][1]["query"]["query"]
    # YAML's folded lines end where the indentation does.
    rules = RULES.read_text()
    for name, body in re.findall(r"- alert: (\w+)\n(.*?)(?=\n\n|\Z)", rules, flags=re.DOTALL):
        found[name] = re.split(r"\n        \w+:", body.partition("expr:")[2])[0]
    return found


@ON_SQLITE
def test_dashboard_and_alerts_ask_for_metrics_and_labels_that_are_there(world: World, node: Node) -> None:
    world.client(node.address).ask("nobody", b"x")
    eventually(lambda: sign_ins(node) == 1)
    comes_to(node, "outbox_waiting", (0.0).__eq__)
    text = scraped(node)
    told = set(re.findall(r"^# TYPE (\S+) ", text, flags=re.MULTILINE)) | set(re.findall(r"^(\w+)", text, re.MULTILINE))
    labels = {name for each in re.findall(r"\{(.*)\}", text) for name in re.findall(r'(\w+)="', each)}
    assert len(queries()) > 40
    for place, query in queries().items():
        names = set(re.findall(r"radiusd_mfa_\w+", query))
        assert names, place
        assert names <= told, place
        used = set(re.findall(r'(\w+)(?:=~|!=|=)"', query))
        used |= {name for each in re.findall(r"by \(([^)]*)\)", query) for name in each.split(", ")}
        assert used <= labels | {"instance", "job"}, place


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool of Debian's prometheus is not installed")
def test_prometheus_takes_the_alerts() -> None:
    assert subprocess.run(["promtool", "check", "rules", RULES], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool of Debian's prometheus is not installed")
@pytest.mark.parametrize("alert", ["RadiusdMfaWorkerDies", "RadiusdMfaAuditNotSealed"])
def test_a_single_process_that_dies_again_and_again_and_a_log_without_a_seal_alert(alert: str, tmp_path: Path) -> None:
    of = 'radiusd_mfa_{}{{instance="a",job="radiusd-mfa"{}}}'
    series = {
        # It counts anew at each start, so that nothing ever grows.
        of.format("worker_starts_total", ',worker="0"'): "1x20",
        of.format("worker_start_time_seconds", ',worker="0"'): "0+240x20",
        of.format("audit_unsealed_rows", ""): "5x20",
    }
    fires = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": fires, "eval_time": "20m", "exp_samples": [{"labels": "{}", "value": 1}]}],
    }
    told = tmp_path / "tests.yml"
    told.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [test]}))
    ran = subprocess.run(["promtool", "test", "rules", told], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@ON_SQLITE
def test_no_user_and_no_address_and_no_secret_is_in_a_scrape(world: World, node: Node, alice: TestUser) -> None:
    nas = world.client(node.address)
    nas.ask("alice", alice.typed())
    nas.ask("mallory-the-stranger", b"canary-password")
    eventually(lambda: sign_ins(node) == 2)
    text = scraped(node)
    for canary in ("alice", "mallory", "hunter2", "canary", "127.0.0.1", alice.seed.hex(), "a secret of the tests"):
        assert canary not in text
