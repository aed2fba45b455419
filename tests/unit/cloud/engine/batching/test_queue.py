from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.batching import pending

from secondlook.cloud.engine.asking import Priority
from secondlook.cloud.engine.batching.pending import Pending, State
from secondlook.cloud.engine.batching.policy import Overflow, Policy
from secondlook.cloud.engine.batching.queue import DUE_EVERY, RequestQueue
from secondlook.cloud.engine.batching.shares import CREDIT
from secondlook.shared.errors import Overloaded

AUDIT, LEARNING = Priority.AUDIT, Priority.LEARNING


def queue_of(*requests: Pending, max_queue: int = 10_000, **policy: object) -> RequestQueue:
    queue = RequestQueue(Policy(max_queue=max_queue, **policy))  # type: ignore[arg-type]
    for request in requests:
        queue.put(request)
    return queue


def served(queue: RequestQueue, count: int, now_s: float = 0.0, **take: float) -> list[Pending]:
    """So many of the next requests, one at a time."""
    return [queue.take(1, now_s, **take)[0][0] for _ in range(count)]  # type: ignore[arg-type]


def test_the_earliest_deadline_goes_first() -> None:
    late, soon, next_ = (pending(deadline_s=at) for at in (30.0, 10.0, 20.0))
    queue = queue_of(late, soon, next_)
    assert queue.head(0.0) is soon
    assert queue.take(3, 0.0) == ([soon, next_, late], [])
    assert queue.waiting == queue.rows == 0
    assert queue.take(3, 0.0) == ([], [])


def test_equal_deadlines_go_in_order_of_arrival() -> None:
    requests = [pending(deadline_s=5.0) for _ in range(20)]
    assert served(queue_of(*requests), 20) == requests


def test_what_is_too_late_is_not_part_of_a_batch() -> None:
    late, hopeless, fine = (pending(deadline_s=at) for at in (1.0, 2.5, 9.0))
    queue = queue_of(late, hopeless, fine)
    assert queue.take(4, 2.0, least_s=1.0) == ([fine], [late, hopeless])
    assert late.state is hopeless.state is State.GONE
    assert fine.state is State.TAKEN


def test_a_request_that_leaves_frees_its_place_and_its_payload() -> None:
    first, second = pending(deadline_s=1.0), pending(deadline_s=2.0)
    queue = queue_of(first, max_queue=1)
    assert queue.leave(first)
    assert not queue.leave(first)
    assert first.payload is None
    queue.put(second)
    assert queue.take(4, 0.0) == ([second], [])
    assert not queue.leave(second)


def test_a_batch_has_one_key_and_at_most_its_rows() -> None:
    a, b, big, more = (
        pending(deadline_s=1.0, key="a"),
        pending(deadline_s=2.0, key="b"),
        pending(deadline_s=3.0, key="a", rows=8),
        pending(deadline_s=4.0, key="a", rows=3),
    )
    queue = queue_of(a, b, big, more)
    assert queue.take(4, 0.0)[0] == [a, more]
    assert queue.take(4, 0.0)[0] == [b]
    assert queue.take(4, 0.0)[0] == [big], "what is larger than the limit of now goes alone"


def test_classes_are_strict_where_nothing_is_due() -> None:
    learning = pending(priority=LEARNING, deadline_s=100.0)
    audit = pending(priority=AUDIT, deadline_s=200.0)
    escalations = [pending(deadline_s=300.0 + n) for n in range(5)]
    queue = queue_of(learning, audit, *escalations)
    assert served(queue, 7) == [*escalations, audit, learning]


@pytest.mark.parametrize(
    "due",
    [
        lambda level: pending(priority=level, queued_s=-10.0, deadline_s=500.0),
        lambda level: pending(priority=level, deadline_s=0.2),
    ],
    ids=["waited long", "deadline near"],
)
@pytest.mark.parametrize("level", [AUDIT, LEARNING])
def test_a_due_request_of_a_lower_class_gets_through(
    due: Callable[[Priority], Pending], level: Priority
) -> None:
    request = due(level)
    queue = queue_of(*(pending() for _ in range(20)), request, patience_s=5.0)
    assert served(queue, 1, urgent_s=0.5) == [request]


def test_due_requests_take_no_more_than_their_share() -> None:
    flood = [pending(priority=LEARNING, queued_s=-100.0) for _ in range(400)]
    urgent = [pending() for _ in range(400)]
    taken = served(queue_of(*flood, *urgent), 300)
    below = sum(request.priority is LEARNING for request in taken)
    assert below == pytest.approx(300 / (DUE_EVERY + 1), abs=1)


def test_a_flooding_tenant_does_not_go_before_others() -> None:
    # The flood came first and has the earlier deadlines.
    flood = [pending(tenant="flood", deadline_s=10.0 + n / 1000) for n in range(500)]
    calm = [pending(tenant="calm", deadline_s=20.0 + n) for n in range(10)]
    taken = served(queue_of(*flood, *calm), 22)
    assert sum(request.tenant == "calm" for request in taken) == 10


def test_a_flooding_camera_does_not_go_before_others_of_its_tenant() -> None:
    flood = [pending(tenant="t", camera="flood", deadline_s=10.0) for _ in range(500)]
    others = [pending(tenant="t", camera=f"c{n}", deadline_s=20.0) for n in range(4)]
    taken = served(queue_of(*flood, *others), 10)
    assert {request.camera for request in taken} == {"flood", "c0", "c1", "c2", "c3"}


def test_a_newcomer_waits_for_its_share_of_what_is_there_only() -> None:
    queue = queue_of(*(pending(tenant="flood", deadline_s=1.0) for _ in range(300)))
    served(queue, 100)
    newcomer = pending(tenant="calm", deadline_s=99.0)
    queue.put(newcomer)
    assert newcomer in served(queue, 2)


def test_idleness_saves_a_few_rows_up_and_no_more() -> None:
    queue = queue_of(
        pending(tenant="idle so far", deadline_s=1.0),
        *(pending(tenant="busy", deadline_s=50.0) for _ in range(200)),
    )
    served(queue, 100)
    for _ in range(100):
        queue.put(pending(tenant="idle so far", deadline_s=99.0))
    first = served(queue, CREDIT)
    assert {request.tenant for request in first} == {"idle so far"}
    taken = Counter(request.tenant for request in served(queue, 40))
    assert abs(taken["busy"] - taken["idle so far"]) <= 2


def test_a_name_that_is_new_has_saved_nothing_up() -> None:
    queue = queue_of(*(pending(tenant="busy", deadline_s=50.0) for _ in range(200)))
    served(queue, 100)
    for n in range(100):
        queue.put(pending(tenant=f"t{n}", deadline_s=1.0))
    taken = Counter(request.tenant for request in served(queue, 150))
    assert taken["busy"] == 50
    queue = queue_of(*(pending(tenant="busy", deadline_s=50.0) for _ in range(200)))
    for n in range(100):
        queue.put(pending(tenant=f"t{n}", deadline_s=1.0))
        taken = Counter(request.tenant for request in served(queue, 2))
        assert taken["busy"] >= 1 or n == 0


def test_those_who_come_back_do_not_starve_who_never_left() -> None:
    queue = queue_of(*(pending(tenant="busy", deadline_s=100.0 + n) for n in range(1000)))
    waiting = Counter[str]()
    taken = Counter[str]()
    for n in range(1000):
        # More of the others than the device can do, each of them idle now and then.
        name = f"t{n % 10}"
        if waiting[name] < 2:
            waiting[name] += 1
            queue.put(pending(tenant=name, deadline_s=200.0 + n))
        (request,) = served(queue, 1)
        waiting[request.tenant] -= 1
        taken[request.tenant] += 1
    assert taken["busy"] >= 1000 / 11 - 1


def test_rows_count_for_shares() -> None:
    heavy = [pending(tenant="heavy", rows=4) for _ in range(100)]
    light = [pending(tenant="light") for _ in range(100)]
    queue = queue_of(*heavy, *light)
    taken = [queue.take(4, 0.0)[0] for _ in range(30)]
    rows = Counter[str]()
    for batch in taken:
        for request in batch:
            rows[request.tenant] += request.rows
    assert rows["heavy"] == pytest.approx(rows["light"], abs=8)


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(1, 3)), min_size=1, max_size=80
    )
)
def test_everybody_with_work_gets_a_fair_share(work: list[tuple[int, int, int]]) -> None:
    """While tenants have work, what they were served differs by little more than one request."""
    queue = queue_of(
        *(
            pending(
                tenant=f"t{tenant}", camera=f"c{camera}", rows=rows, deadline_s=10.0 * tenant + 1
            )
            for tenant, camera, rows in work
        )
    )
    left = Counter(f"t{tenant}" for tenant, _, _ in work)
    got = Counter(dict.fromkeys(left, 0))
    while all(left.values()) and queue.waiting:
        (request,), late = queue.take(1, 0.0)
        assert not late
        left[request.tenant] -= 1
        got[request.tenant] += request.rows
        assert max(got.values()) - min(got.values()) <= 2 * 3


@given(
    st.lists(
        st.one_of(
            st.tuples(
                st.just("put"),
                st.integers(0, 3),
                st.integers(0, 2),
                st.integers(1, 3),
                st.sampled_from(list(Priority)),
                st.floats(0, 20),
            ),
            st.tuples(st.just("take"), st.integers(1, 6)),
            st.tuples(st.just("leave"), st.integers(0, 50)),
        ),
        max_size=120,
    ),
    st.sampled_from(list(Overflow)),
)
def test_every_request_ends_exactly_once(steps: list[tuple], overflow: Overflow) -> None:  # type: ignore[type-arg]
    queue = RequestQueue(Policy(max_queue=12, max_per_tenant=8, overflow=overflow))
    waiting: list[Pending] = []
    ended: list[Pending] = []
    now_s = 0.0
    for step in steps:
        now_s += 0.1
        if step[0] == "put":
            _, tenant, camera, rows, priority, left_s = step
            request = pending(
                tenant=f"t{tenant}",
                camera=f"c{camera}",
                rows=rows,
                priority=priority,
                deadline_s=now_s + left_s,
                queued_s=now_s,
                key=rows == 3,
            )
            try:
                dropped = queue.put(request)
            except Overloaded:
                continue
            waiting.append(request)
            if dropped is not None:
                waiting.remove(dropped)
                ended.append(dropped)
        elif step[0] == "take":
            batch, late = queue.take(step[1], now_s)
            assert sum(r.rows for r in batch) <= max(step[1], batch[0].rows if batch else 0)
            assert len({r.key for r in batch}) <= 1
            for request in [*batch, *late]:
                waiting.remove(request)
                ended.append(request)
        elif waiting:
            request = waiting[step[1] % len(waiting)]
            assert queue.leave(request)
            waiting.remove(request)
            ended.append(request)
        assert queue.waiting == len(waiting) <= 12
        assert queue.rows == sum(request.rows for request in waiting)
    assert not set(map(id, waiting)) & set(map(id, ended))
    assert {id(r) for r in queue.clear()} == {id(r) for r in waiting}
    assert queue.waiting == queue.rows == 0


def test_a_full_queue_refuses_the_newcomer() -> None:
    queue = queue_of(pending(), pending(), max_queue=2)
    with pytest.raises(Overloaded, match="2 requests"):
        queue.put(pending())


def test_a_full_queue_may_drop_the_oldest() -> None:
    old, new, newest = pending(deadline_s=1.0), pending(deadline_s=2.0), pending(deadline_s=3.0)
    queue = queue_of(old, new, max_queue=2, overflow=Overflow.DROP_OLDEST)
    assert queue.put(newest) is old
    assert queue.take(3, 0.0)[0] == [new, newest]


@pytest.mark.parametrize("overflow", Overflow)
def test_less_urgent_work_makes_room(overflow: Overflow) -> None:
    learning = pending(priority=LEARNING)
    queue = queue_of(pending(), learning, max_queue=2, overflow=overflow)
    assert queue.put(pending()) is learning


@pytest.mark.parametrize("overflow", Overflow)
def test_more_urgent_work_does_not_make_room(overflow: Overflow) -> None:
    queue = queue_of(pending(), pending(), max_queue=2, overflow=overflow)
    with pytest.raises(Overloaded):
        queue.put(pending(priority=LEARNING))


@pytest.mark.parametrize("overflow", Overflow)
def test_who_fills_the_queue_makes_room_for_who_does_not(overflow: Overflow) -> None:
    flood = [pending(tenant="flood") for _ in range(10)]
    queue = queue_of(*flood, max_queue=10, overflow=overflow)
    dropped = queue.put(pending(tenant="calm"))
    assert dropped is (flood[-1] if overflow is Overflow.REJECT else flood[0])


def test_a_tenant_has_a_bound_of_its_own() -> None:
    queue = queue_of(*(pending(tenant="a") for _ in range(3)), max_per_tenant=3)
    with pytest.raises(Overloaded, match="tenant"):
        queue.put(pending(tenant="a", camera="other", priority=AUDIT))
    queue.put(pending(tenant="b"))


def test_rows_ahead_are_those_that_fair_shares_put_first() -> None:
    queue = queue_of(
        *(pending(tenant="flood", camera="f") for _ in range(100)),
        pending(tenant="calm", camera="c"),
        pending(priority=AUDIT),
    )
    ahead = queue.rows_ahead
    assert ahead(Priority.ESCALATION, "new", "", 1) == 2
    assert ahead(Priority.ESCALATION, "calm", "c", 1) == 1 + 2
    assert ahead(Priority.ESCALATION, "calm", "new", 1) == 1 + 2
    assert ahead(Priority.ESCALATION, "flood", "f", 1) == 100 + 1
    assert ahead(Priority.ESCALATION, "flood", "new", 1) == 1 + 1
    assert ahead(AUDIT, "x", "", 1) == 101 + 1


def test_names_are_forgotten() -> None:
    queue = queue_of(pending(tenant="stays", deadline_s=1e6))
    for n in range(5000):
        queue.put(pending(tenant=f"t{n}", camera=f"c{n}", deadline_s=1.0))
        served(queue, 1)
    assert len(queue._classes[0].tenants._flows) < 500
    assert queue.waiting == 1


def test_given_up_requests_are_not_kept() -> None:
    queue = queue_of(pending(deadline_s=1.0))
    for priority in Priority:
        for _ in range(5000):
            request = pending(deadline_s=9.0, priority=priority)
            queue.put(request)
            queue.leave(request)
    tenant = queue._classes[0].tenants.flow("")
    assert len(tenant.cameras.flow("").heap) < 500
    assert len(queue._arrived[1]) < 500
    assert len(queue._deadlines[2]) < 500
