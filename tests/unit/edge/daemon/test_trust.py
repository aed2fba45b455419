"""What the daemon tells of trust, and the carriers it falls back on."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry
from support.edge import FakeCloud, Film, MemorySink, ScriptedDetector, edge_settings, make_daemon

from secondlook.edge.auditing import TrustNews
from secondlook.edge.control import BudgetSettings, Controller
from secondlook.edge.daemon.status import CameraStatus
from secondlook.edge.daemon.trust import TrustDesk
from secondlook.edge.daemon.view import table
from secondlook.shared.clock import ManualClock
from secondlook.shared.trust import Basis, TrustKeeper, TrustMeter, TrustSettings

pytestmark = pytest.mark.anyio

SETTINGS = TrustSettings(audit_rate=0.5, window_frames=100, alpha=0.1)


class Desk:
    """A desk and what it tells."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.clock = ManualClock()
        self.controller = Controller(
            BudgetSettings(kb_per_s=1), {"gate": None}, self.clock.monotonic()
        )
        self.status = CameraStatus("gate")
        around: Any = SimpleNamespace(
            trust=TrustMeter(self.registry), clock=self.clock, controller=self.controller
        )
        self.desk = TrustDesk("gate", around, self.status)
        self.keeper = TrustKeeper("default/gate", SETTINGS, Basis("g", "heavy", "1"))
        self.sequence = 0

    def frames(self, count: int, risk: float = math.inf) -> None:
        for _ in range(count):
            self.sequence += 1
            at_s = 1_700_000_000.0 + self.sequence
            audited = self.sequence % 2 == 0
            rate = self.keeper.audit_rate
            self.keeper.frame(self.sequence, at_s, probability=rate, audited=audited or rate == 1)
            if audited or rate == 1:
                self.keeper.outcome(self.sequence, risk)

    def tell(self, **news: Any) -> None:
        self.desk.tell(TrustNews(self.keeper.status, self.keeper.take_changes(), **news))

    def metric(self, name: str, **labels: str) -> float | None:
        full = f"secondlook_edge_trust_{name}"
        return self.registry.get_sample_value(full, {"camera": "gate", **labels})


def test_states_reach_metrics_log_and_status_under_the_name_of_the_camera() -> None:
    desk = Desk()
    desk.tell()
    assert desk.status.trust == "learning, 0 audits"
    desk.frames(100)
    with structlog.testing.capture_logs() as logs:
        desk.tell(outcomes=[False, True, False], lost=2, unasked=3)
    (event,) = (line for line in logs if line["event"] == "trust has changed")
    assert (event["camera"], event["after"]) == ("gate", "certified")
    assert desk.status.trust.startswith("certified: ")
    assert desk.status.summary()["trust"] == desk.status.trust
    assert desk.metric("state", state="certified") == 1
    assert desk.metric("audits_total", outcome="missed") == 1
    assert desk.metric("audits_total", outcome="right") == 2
    assert desk.metric("lost_audits_total") == 2
    assert desk.metric("unasked_frames_total") == 3
    desk.frames(20, risk=0.0)
    with structlog.testing.capture_logs() as logs:
        desk.tell()
    assert [line["after"] for line in logs if line["event"] == "trust has changed"] == ["alarm"]
    assert "audits missed an object" in desk.status.problem_of_trust


def test_what_an_enforced_promise_needs_reaches_the_budget_and_is_taken_back() -> None:
    desk = Desk()
    desk.tell(demand=(5000.0, 2.0))
    found = desk.controller.infeasible("gate")
    assert found is not None
    assert found.needed_per_s >= 5000.0
    desk.clock.advance(2.0)
    desk.tell(demand=(0.0, 0.0))
    assert desk.controller.infeasible("gate") is None


def test_without_audits_nothing_is_told() -> None:
    desk = Desk()
    desk.desk.tell(TrustNews())
    assert desk.status.trust == ""
    assert "trust" not in desk.status.summary()


async def test_a_cloud_that_takes_no_canvases_gets_mosaics_and_audits_count() -> None:
    sink, registry = MemorySink(), CollectorRegistry()
    async with FakeCloud().running() as cloud:
        settings = edge_settings(
            cloud.address, trust={"audit_rate": 1.0}, regions={"carrier": "canvas"}
        )
        daemon = make_daemon(
            settings, ScriptedDetector(), {"gate": Film(30)}, sinks=[sink], registry=registry
        )
        await daemon.run()
        assert cloud.asked, "mosaics came"
        assert all(asked.canvas is None for asked in cloud.asked)
    (status,) = daemon.statuses
    assert status.verdicts == len(cloud.asked)
    assert status.lost == 30 - len(cloud.asked) > 0, "the canvases before that was known"
    assert "uncertified" in status.trust or "learning" in status.trust
    name, labels = "secondlook_edge_trust_audits_total", {"camera": "gate", "outcome": "right"}
    assert registry.get_sample_value(name, labels) == status.verdicts
    shown = table(daemon)
    assert [column.header for column in shown.columns].count("trust") == 1
