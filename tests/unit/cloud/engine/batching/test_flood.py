"""One tenant floods; what another sees of it. Queue, pace and admission in virtual time."""

from __future__ import annotations

import pytest
from support.queueing import Device, Heard, Played, play

from secondlook.cloud.engine.batching.policy import Policy

CPU = Device(call_s=0.0006, row_s=0.005)
BUSY_CPU = Device(call_s=0.0006, row_s=0.005, noise=0.3)
GPU = Device(call_s=0.002, row_s=0.0001, noise=0.05)
SERVICE_S = 0.01
CALM = 1 / 3
"""Of what the device can do."""


def alone(shares: dict[str, float], *, cameras: bool = False, max_queue: int = 1000) -> Played:
    """Shares of a device that takes one row at a time."""
    return play(
        {name: share / SERVICE_S for name, share in shares.items()},
        Device(row_s=SERVICE_S),
        seconds=15.0,
        allowed_s=0.5,
        policy=Policy(max_queue=max_queue),
        cameras=cameras,
    )


def beside(device: Device, max_batch: int, neighbour: float, seed: int, **fields: object) -> Heard:
    """What a calm tenant hears beside a neighbour that asks for so much of the device."""
    per_s = max_batch / device.mean_s(max_batch)
    played = play(
        {"calm": CALM * per_s, "neighbour": neighbour * per_s},
        device,
        policy=Policy(max_batch=max_batch, max_queue=4096),
        seed=seed,
        **fields,  # type: ignore[arg-type]
    )
    assert neighbour < 1 or played.per_s > 0.95 * played.capacity_per_s
    return played.heard["calm"]


@pytest.mark.parametrize("cameras", [False, True], ids=["tenants", "cameras"])
@pytest.mark.parametrize("flood", [3.0, pytest.param(10.0, marks=pytest.mark.heavy)])
def test_a_flood_does_not_move_anothers_p99(flood: float, cameras: bool) -> None:
    before = alone({"calm": CALM, "neighbour": 0.5}, cameras=cameras).heard["calm"]
    played = alone({"calm": CALM, "neighbour": flood}, cameras=cameras)
    calm = played.heard["calm"]
    assert calm.refused == calm.late == 0
    assert calm.quantile_s(0.99) <= before.quantile_s(0.99)
    # And the flood has all that the calm one leaves.
    answered = len(played.heard["neighbour"].waits_s) * SERVICE_S / played.seconds
    assert answered > 0.97 * (1 - CALM)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("device", "max_batch", "seconds"),
    [(CPU, 8, 20.0), (BUSY_CPU, 8, 20.0), (GPU, 32, 1.0)],
    ids=["cpu", "busy cpu", "gpu"],
)
def test_nor_where_it_fills_batches(device: Device, max_batch: int, seconds: float) -> None:
    ratios = []
    for seed in range(2):
        before = beside(device, max_batch, 0.5, seed, seconds=seconds)
        after = beside(device, max_batch, 3.0, seed, seconds=seconds)
        assert after.refused + after.late <= 0.002 * len(after.waits_s)
        ratios.append(after.quantile_s(0.99) / before.quantile_s(0.99))
    assert max(ratios) <= 1.5


def test_a_flood_does_not_fill_anothers_place_in_the_queue() -> None:
    played = alone({"calm": CALM, "neighbour": 10.0}, max_queue=32)
    assert played.heard["calm"].refused == 0


def test_ten_tenants_that_flood_share_evenly() -> None:
    played = alone({f"t{n}": 1.0 for n in range(10)})
    counts = [len(one.waits_s) for one in played.heard.values()]
    assert max(counts) < 1.1 * min(counts)
    assert sum(counts) * SERVICE_S / played.seconds > 0.97
    assert played.all.late_share < 0.01
