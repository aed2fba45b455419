"""The budget of a daemon, as its cameras see it."""

from __future__ import annotations

import math
import random
import sys

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from secondlook.edge.control import Allowance, BudgetSettings, CameraBudget, Controller, Link
from secondlook.edge.control.sharing import table
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import Purpose

UNSURE, AUDIT = Purpose.UNSURE, Purpose.AUDIT


def test_without_a_budget_the_allowance_is_unlimited() -> None:
    controller = Controller(BudgetSettings(), {"gate": None}, 0.0)
    assert controller.allowance("gate", 1.0) == Allowance.unlimited()
    paid = controller.reserve("gate", UNSURE, 1e9, 50, 1.0)
    assert paid is not None
    assert paid.attempt(1e9, 1.0)
    paid.close(1.0)
    assert controller.allowance("gate", 1.0) == Allowance.unlimited()
    assert controller.shares() == {}


def test_a_question_takes_what_it_really_used() -> None:
    registry = CollectorRegistry()
    controller = Controller(
        BudgetSettings(kb_per_s=1, audit_share=0), {"gate": None}, 0.0, registry=registry
    )
    paid = controller.reserve("gate", UNSURE, 6000, 1, 10.0)
    assert paid is not None
    assert controller.allowance("gate", 10.0).bytes_now == pytest.approx(4000)
    assert paid.attempt(5000, 10.1)
    assert paid.attempt(4500, 10.2), "a retry: 3500 more than reserved, and there"
    assert not paid.attempt(5000, 10.3), "another one is not"
    assert paid.bytes_on_wire == 9500
    paid.close(11.0)
    paid.close(11.0)
    assert controller.allowance("gate", 11.0).bytes_now == pytest.approx(500)
    labels = {"camera": "gate", "resource": "bytes", "purpose": "unsure"}
    assert registry.get_sample_value("secondlook_edge_budget_spent_total", labels) == 9500


def test_a_question_that_was_never_sent_costs_nothing_also_no_inference() -> None:
    controller = Controller(BudgetSettings(kb_per_s=1, cloud_per_s=0.1), {"gate": None}, 0.0)
    before = controller.allowance("gate", 100.0)
    paid = controller.reserve("gate", AUDIT, 3000, 1, 100.0)
    assert paid is not None
    paid.close(100.0)
    assert controller.allowance("gate", 100.0) == before


def test_what_does_not_fit_is_refused_and_counted() -> None:
    registry = CollectorRegistry()
    controller = Controller(
        BudgetSettings(kb_per_s=1, cloud_per_s=0.5), {"gate": None}, 0.0, registry=registry
    )
    assert controller.reserve("gate", UNSURE, 9000, 1, 100.0) is None
    assert controller.reserve("gate", UNSURE, 100, 6, 100.0) is None
    assert controller.reserve("gate", AUDIT, 10_000, 1, 100.0) is not None

    def refused(purpose: str) -> float | None:
        return registry.get_sample_value(
            "secondlook_edge_budget_refused_questions_total", {"camera": "gate", "purpose": purpose}
        )

    assert (refused("unsure"), refused("audit")) == (2, None)


def test_money_pays_for_bytes_and_inferences() -> None:
    month = BudgetSettings(
        money_per_month=26.298, price_per_gb=10, money_per_inference=0.00001, audit_share=0
    )
    controller = Controller(month, {"gate": None}, 0.0)
    allowance = controller.allowance("gate", 100.0)
    assert allowance.bytes_now == pytest.approx(10_000 - 1000)
    paid = controller.reserve("gate", UNSURE, 3000, 1, 100.0)
    assert paid is not None
    paid.attempt(3000, 100.0)
    paid.close(100.0)
    assert controller.allowance("gate", 100.0).bytes_now == pytest.approx(10_000 - 4000 - 1000)


def test_overhead_of_the_network_is_paid_too() -> None:
    controller = Controller(
        BudgetSettings(kb_per_s=1, overhead=0.25, audit_share=0), {"gate": None}, 0.0
    )
    assert controller.allowance("gate", 100.0).bytes_now == pytest.approx(8000)
    assert controller.reserve("gate", UNSURE, 8001, 1, 100.0) is None


def test_one_cameras_own_budget_binds_before_the_sites() -> None:
    controller = Controller(
        BudgetSettings(kb_per_s=100, audit_share=0), {"a": CameraBudget(kb_per_s=1), "b": None}, 0.0
    )
    for now_s in range(200):
        controller.allowance("a", now_s)
    assert controller.allowance("a", 200.0).bytes_now == pytest.approx(10_000)
    assert controller.allowance("b", 200.0).bytes_now > 100_000


def test_a_threshold_beyond_the_budget_is_said_once_with_its_numbers() -> None:
    registry = CollectorRegistry()
    controller = Controller(BudgetSettings(kb_per_s=4), {"gate": None}, 0.0, registry=registry)

    def gauge() -> float | None:
        name = "secondlook_edge_budget_slo_infeasible"
        return registry.get_sample_value(name, {"camera": "gate"})

    with capture_logs() as logs:
        controller.demand("gate", 3000)
        assert controller.allowance("gate", 1.0).slo is None
        controller.demand("gate", 6000)
        for now_s in range(2, 50):
            slo = controller.allowance("gate", now_s).slo
            assert slo is not None
            assert (slo.what, slo.needed_per_s, slo.available_per_s) == ("bytes", 6000, 4000)
        assert gauge() == 1
        controller.demand("gate", 3900)
        assert controller.allowance("gate", 50.0).slo is not None, "no flutter at the edge"
        controller.demand("gate", 3700)
        assert controller.infeasible("gate") is None
    assert [log["event"] for log in logs] == [
        "SLO_INFEASIBLE",
        "the certified threshold fits the budget again",
    ]
    assert gauge() == 0


def test_a_threshold_can_lack_inferences_too() -> None:
    controller = Controller(BudgetSettings(cloud_per_s=1), {"gate": None}, 0.0)
    controller.demand("gate", 1e9, 1.5)
    slo = controller.allowance("gate", 1.0).slo
    assert slo is not None
    assert (slo.what, slo.needed_per_s, slo.available_per_s) == ("inferences", 1.5, 1)


def test_late_verdicts_are_announced_before_they_are_asked_for() -> None:
    link = Link()
    controller = Controller(BudgetSettings(), {"gate": None}, 0.0, link=link, answer_within_s=0.3)
    assert not controller.allowance("gate", 1.0).late
    for _ in range(20):
        link.answered(5000, 0.9, 0.1)
    slow = controller.allowance("gate", 2.0)
    assert slow.late
    assert "beyond the 0.3 s" in slow.reasons[-1]
    assert slow.affords(1e6), "late is not refused"


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_nonsense_is_refused_and_changes_nothing(bad: float) -> None:
    controller = Controller(BudgetSettings(kb_per_s=4, cloud_per_s=1), {"gate": None}, 0.0)
    before = controller.allowance("gate", 5.0)
    for call in (
        lambda: controller.reserve("gate", UNSURE, bad, 1, 5.0),
        lambda: controller.reserve("gate", UNSURE, 10, bad, 5.0),
        lambda: controller.demand("gate", bad),
    ):
        with pytest.raises(InvalidInput):
            call()
    with pytest.raises(InvalidInput, match="no budget here"):
        controller.allowance("stranger", 5.0)
    assert controller.allowance("gate", 5.0) == before


def test_a_budget_of_nothing_sends_nothing_and_says_so() -> None:
    controller = Controller(BudgetSettings(kb_per_s=0, cloud_per_s=0), {"gate": None}, 0.0)
    allowance = controller.allowance("gate", 1e6)
    assert (allowance.bytes_now, allowance.audit_bytes_now, allowance.inferences_now) == (0, 0, 0)
    assert allowance.reasons[0] == "budget 0 KB/s, 0 KB free now"
    assert controller.reserve("gate", AUDIT, 1, 1, 1e6) is None


def test_a_clock_that_goes_back_stops_nothing() -> None:
    controller = Controller(BudgetSettings(kb_per_s=1, audit_share=0), {"gate": None}, 1e6)
    paid = controller.reserve("gate", UNSURE, 10_000, 1, 1e6 + 100)
    assert paid is not None
    assert paid.attempt(10_000, 1e6 + 100)
    paid.close(1e6 + 100)
    assert controller.allowance("gate", 50.0).bytes_now == 0
    assert controller.allowance("gate", 60.0).bytes_now == pytest.approx(10_000, rel=0.01)


WISHES = {
    "gate": 0.0,
    "yard": 0.2,
    "lane": 0.5,
    "dock": 1.0,
    "hall": 2.0,
    "road": 5.0,
    "street": 7.0,
    "square": 10.0,
}
"""Questions a second of eight very different scenes, each of about 1 KB."""


def test_eight_cameras_share_one_budget_and_a_table_says_who_got_what_and_why() -> None:
    draw, controller = (
        random.Random(5),
        Controller(BudgetSettings(kb_per_s=8, audit_share=0.1), dict.fromkeys(WISHES), 0.0),
    )
    sent: dict[str, list[tuple[float, float]]] = {name: [] for name in WISHES}
    for step in range(3000):
        now_s = step / 10
        for name, wish in WISHES.items():
            allowance = controller.allowance(name, now_s)
            if draw.random() >= wish / 10:
                continue
            size = draw.uniform(500, 1500)
            if not (allowance.worth(draw.random(), size) and allowance.affords(size)):
                continue
            paid = controller.reserve(name, UNSURE, size, 1, now_s)
            assert paid is not None
            paid.attempt(size, now_s)
            paid.close(now_s)
            sent[name].append((now_s, size))
    lately = {n: sum(s for at, s in e if at >= 150) / 150 for n, e in sent.items()}
    sys.stdout.write("\n" + table(controller.shares()["bytes"], "KB", 1000, lately) + "\n")
    everything = sorted(event for events in sent.values() for event in events)
    for begin, _ in everything[::25]:
        assert sum(s for at, s in everything if begin <= at <= begin + 60) <= 8000 * 60 + 80_000
    assert sum(lately.values()) == pytest.approx(8000, rel=0.1), "nothing lies idle"
    for name in ("yard", "lane"):
        assert lately[name] == pytest.approx(WISHES[name] * 1000, rel=0.4), "the modest get all"
    busy = [lately[name] for name in ("road", "street", "square")]
    assert max(busy) < 1.35 * min(busy), "the greedy get the same"
    assert min(busy) > 1000, "and what the modest leave"


def test_what_a_camera_may_send_at_most_is_its_own_limit_and_the_sites() -> None:
    own = {"gate": None, "yard": CameraBudget(kb_per_s=2), "road": CameraBudget(kb_per_s=20)}
    together = Controller(BudgetSettings(kb_per_s=9), own, 0.0)
    found = [together.most_bytes_per_s(name) for name in ("gate", "yard", "road")]
    assert found == [9000, 2000, 9000], "though all three share it"
    assert Controller(BudgetSettings(), own, 0.0).most_bytes_per_s("gate") == math.inf


def test_a_question_that_turned_out_larger_may_overdraw_its_share_but_no_bucket() -> None:
    both = {"gate": None, "yard": None}
    site = Controller(BudgetSettings(kb_per_s=10, audit_share=0), both, 0.0)
    left = site.allowance("gate", 2.0).bytes_now
    assert left == pytest.approx(10_000), "its half of what flowed in"
    assert site.reserve("gate", Purpose.UNSURE, 2.1 * left, 1, 2.0) is None
    paid = site.reserve("gate", Purpose.UNSURE, 1.5 * left, 1, 2.0)
    assert paid is not None
    assert site.allowance("gate", 2.0).bytes_now == 0, "the rest is paid back first"
    assert paid.attempt(1.5 * left + 9, 2.0), "a few bytes more than was reserved"
    assert not paid.attempt(1000, 2.0), "but no retry on credit"
    assert site.allowance("gate", 2.9).bytes_now == 0
    assert site.allowance("gate", 3.2).bytes_now > 0
    assert site.reserve("yard", Purpose.UNSURE, 19_000, 1, 2.0) is None, "the site has no more"
    alone = Controller(BudgetSettings(), {"gate": CameraBudget(kb_per_s=5)}, 0.0)
    assert alone.reserve("gate", Purpose.UNSURE, 9_000, 1, 1.0) is None, "its own limit is hard"
