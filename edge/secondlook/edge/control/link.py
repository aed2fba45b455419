"""The link as it has been lately, and how long a question would take over it."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from secondlook.edge.control.bucket import check

TRANSFERS = 8
"""Transfers whose harmonic mean is the bandwidth."""

_RESIDUALS = 128
_PAIRS = 32
_LEAST_S = 1e-5
_SPREAD = 0.5
"""How far the sizes of questions must differ, against their mean, for a slope to mean anything."""


class RoundTrip:
    """Smoothed round trip and its variation, by the rules of RFC 6298."""

    def __init__(self) -> None:
        self.srtt_s: float | None = None
        self.rttvar_s = 0.0

    def measured(self, rtt_s: float) -> None:
        """One more round trip."""
        check(rtt_s, "rtt_s")
        if self.srtt_s is None:
            self.srtt_s, self.rttvar_s = rtt_s, rtt_s / 2
            return
        self.rttvar_s += (abs(self.srtt_s - rtt_s) - self.rttvar_s) / 4
        self.srtt_s += (rtt_s - self.srtt_s) / 8

    @property
    def bound_s(self) -> float:
        """RTT + 4 RTTVAR; 0 before anything is measured."""
        return 0.0 if self.srtt_s is None else self.srtt_s + 4 * self.rttvar_s


class Tail:
    """The 95th percentile of the last 128 numbers."""

    def __init__(self, share: float = 0.95) -> None:
        self._share = share
        self._last: deque[float] = deque(maxlen=_RESIDUALS)

    def __len__(self) -> int:
        return len(self._last)

    def add(self, number: float) -> None:
        """One more; what is not finite is left out."""
        if math.isfinite(number):
            self._last.append(number)

    @property
    def value(self) -> float:
        """The percentile, by the nearest rank above: the largest while there are few; 0 of none."""
        if not self._last:
            return 0.0
        ordered = sorted(self._last)
        return ordered[min(len(ordered) - 1, math.ceil(self._share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class CloudCost:
    """What an inference costs the cloud by the roofline, for as long as none has been timed.

    Attributes:
        flops: operations of one inference.
        bytes_moved: weights and activations that it moves, bytes.
        peak_flops_per_s: of the device.
        memory_bytes_per_s: of the device.
        compute_efficiency: η_c, part of the peak that is reached.
        memory_efficiency: η_m, part of the memory's rate that is reached.
        launch_s: t0, what each inference costs besides, seconds.
    """

    flops: float
    bytes_moved: float
    peak_flops_per_s: float
    memory_bytes_per_s: float
    compute_efficiency: float = 0.3
    memory_efficiency: float = 0.6
    launch_s: float = 0.005

    @property
    def service_s(self) -> float:
        """Seconds of one inference."""
        compute_s = self.flops / (self.compute_efficiency * self.peak_flops_per_s)
        memory_s = self.bytes_moved / (self.memory_efficiency * self.memory_bytes_per_s)
        return max(compute_s, memory_s) + self.launch_s


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long a question will take.

    Attributes:
        expected_s: from its encoding to its verdict, seconds.
        p95_s: what 95 of 100 stay below, seconds.
    """

    expected_s: float
    p95_s: float


class Link:
    """Bandwidth, round trip and the cloud's time, each as measured, and forecasts from them.

    An answered question tells how long it took in all and how long it was in the cloud. What is
    left is the network's: a round trip and the transfer. The sizes of questions differ, and so the
    two can be told apart; where they do not differ enough, half is taken for each.

    Args:
        cost: what the cloud is taken to need until an inference has been timed.
    """

    def __init__(self, cost: CloudCost | None = None) -> None:
        self._cost = cost
        self._pairs: deque[tuple[float, float]] = deque(maxlen=_PAIRS)
        self._paces: deque[float] = deque(maxlen=TRANSFERS)  # seconds per byte
        self._cloud_s: float | None = None
        self._typical: Forecast | None = None
        self.round_trip = RoundTrip()
        self.tail = Tail()

    @property
    def bandwidth(self) -> float | None:
        """Bytes a second: harmonic mean of the last 8 transfers; ``None`` before the first."""
        if not self._paces:
            return None
        return len(self._paces) / sum(self._paces)

    @property
    def typical_bytes(self) -> float:
        """Median size of the last questions; 0 before the first."""
        sizes = sorted(size for size, _ in self._pairs)
        return sizes[len(sizes) // 2] if sizes else 0.0

    @property
    def cloud_s(self) -> float:
        """What the cloud needs, waiting included: measured, else by the roofline, else 0."""
        if self._cloud_s is not None:
            return self._cloud_s
        return self._cost.service_s if self._cost is not None else 0.0

    def answered(
        self, size_bytes: float, took_s: float, cloud_s: float, ahead_bytes: float = 0.0
    ) -> None:
        """A question has its verdict.

        Args:
            size_bytes: of the question on the wire.
            took_s: from sending to the verdict, seconds.
            cloud_s: of these, in the cloud: decoding, waiting, computing.
            ahead_bytes: what was on its way already when it was sent.
        """
        for name, amount in (("size_bytes", size_bytes), ("took_s", took_s), ("cloud_s", cloud_s)):
            check(amount, name)
        if size_bytes < 1:
            return
        forecast = self.forecast(size_bytes, ahead_bytes)
        if forecast is not None:
            self.tail.add(took_s - forecast.expected_s)
        cloud_s = min(cloud_s, took_s)
        network_s = max(_LEAST_S, took_s - cloud_s)
        moved = size_bytes + max(0.0, ahead_bytes)
        self._pairs.append((moved, network_s))
        pace = self._pace()
        trip_s = (
            min(seconds for _, seconds in self._pairs) / 2
            if pace is None
            else max(0.0, network_s - pace * moved)
        )
        self.round_trip.measured(min(trip_s, network_s))
        self._paces.append(max(_LEAST_S, network_s - (self.round_trip.srtt_s or 0.0)) / moved)
        before = cloud_s if self._cloud_s is None else self._cloud_s
        self._cloud_s = before + (cloud_s - before) / 8
        self._typical = self.forecast(self.typical_bytes)

    @property
    def typical(self) -> Forecast | None:
        """The forecast of a question of typical size; ``None`` before anything was measured."""
        return self._typical

    def forecast(
        self, size_bytes: float, ahead_bytes: float = 0.0, encode_s: float = 0.0
    ) -> Forecast | None:
        """How long a question would take; ``None`` before anything was measured.

        ``encode + (ahead + size) / bandwidth + RTT + cloud``; the 95th percentile adds that of what
        such forecasts have lately missed. While only a few are known, RTT + 4 RTTVAR stands in.
        """
        bandwidth = self.bandwidth
        if bandwidth is None:
            return None
        trip_s = self.round_trip.srtt_s or 0.0
        expected_s = encode_s + (ahead_bytes + size_bytes) / bandwidth + trip_s + self.cloud_s
        margin_s = self.tail.value
        if len(self.tail) < TRANSFERS:
            margin_s = max(margin_s, self.round_trip.bound_s - trip_s)
        return Forecast(expected_s, expected_s + max(0.0, margin_s))

    def _pace(self) -> float | None:
        """Seconds per byte, from how much longer large questions take than small ones."""
        if len(self._pairs) < 4:
            return None
        ordered = sorted(self._pairs)
        half = len(ordered) // 2
        small, large = ordered[:half], ordered[-half:]
        more_bytes = sum(size for size, _ in large) - sum(size for size, _ in small)
        more_s = sum(seconds for _, seconds in large) - sum(seconds for _, seconds in small)
        total = sum(size for size, _ in ordered)
        if more_bytes < _SPREAD * total / 2 or more_s <= 0:
            return None
        return more_s / more_bytes
