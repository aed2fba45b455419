"""One thing that is budgeted (bytes, or heavy inferences) for all cameras of a daemon."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from secondlook.edge.control.account import Account, smoothing
from secondlook.edge.control.bucket import Bucket, Hold, check, check_time
from secondlook.edge.control.sharing import Claim, Share, pour, share

TICK_S = 0.1
"""How often prices move at most."""

SHARE_EVERY_S = 1.0
"""How often a shared budget is divided anew."""

STRETCH = 2.0
"""How many times what is left of its share a question may take, where the site's bucket has it."""

_HEADROOM = 1.25
"""A camera may begin to want more before it is seen to."""

_LEAST_WANTED = 0.02
"""Part of the site's budget that each camera is taken to want at least."""

_DEAR = 0.01
"""From this price on a camera would spend more if it could."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What one camera is allowed by itself.

    Attributes:
        rate: units a second; ``None``: no limit of its own.
        weight: its part where a budget is shared.
    """

    rate: float | None
    weight: float


@dataclass(frozen=True, slots=True)
class Grip:
    """What was taken for one question, from the camera's bucket and from the site's."""

    amount: float
    own: Hold | None
    site: Hold | None


class Resource:
    """Buckets, prices and shares of one budgeted thing. Not safe for concurrent use.

    A camera's own budget and the site's are hard: their buckets refuse. Its share of the site's
    budget is soft: an audit may overdraw it, and a question that turned out up to `STRETCH` times
    as large as what was there, which its next questions pay back.

    Args:
        name: what it is, for people: ``"bytes"``.
        site: units a second for all cameras together; ``None``: no limit.
        cameras: the limit of each.
        burst_s: budget that may be saved up, seconds.
        least_burst: and at least so many units, where there is any budget at all.
        audit_share: part that audits alone may use.
        now_s: monotonic time, seconds.
    """

    def __init__(
        self,
        name: str,
        site: float | None,
        cameras: Mapping[str, Limit],
        *,
        burst_s: float,
        least_burst: float,
        audit_share: float,
        now_s: float,
    ) -> None:
        self.name = name
        self._burst_s = burst_s

        def bucket(rate: float | None) -> Bucket | None:
            if rate is None:
                return None
            burst = max(rate * burst_s, least_burst) if rate else 0.0
            return Bucket(rate, burst, audit_share, now_s)

        self._site = bucket(site)
        self._accounts = {
            camera: Account(limit.weight, bucket(limit.rate)) for camera, limit in cameras.items()
        }
        self._shares: tuple[Share, ...] = ()
        self._ticked_s = check_time(now_s)
        self._shared_s = now_s
        self._divide()

    @property
    def limited(self) -> bool:
        """Whether there is any budget."""
        return self._site is not None or any(a.own is not None for a in self._accounts.values())

    @property
    def shares(self) -> tuple[Share, ...]:
        """Who gets what of the site's budget, and why; empty where there is none."""
        return self._shares

    def rate(self, camera: str) -> float:
        """What a camera may spend in the long run, units a second; infinite without a limit."""
        return self._accounts[camera].rate

    def limit(self, camera: str) -> float:
        """What it may spend in the long run where others spend nothing; infinite without."""
        own = self._accounts[camera].own
        return min(one.rate if one is not None else math.inf for one in (own, self._site))

    def mean(self, camera: str) -> float:
        """What it has spent lately, units a second."""
        return self._accounts[camera].mean

    def require(self, camera: str, rate: float) -> None:
        """What its certified threshold demands, units a second."""
        self._accounts[camera].required = check(rate, f"{self.name} a second")

    def required(self, camera: str) -> float:
        """What `require` said last."""
        return self._accounts[camera].required

    def room(self, camera: str, now_s: float, *, audit: bool = False) -> float:
        """What the camera may take now; infinite without a limit."""
        self.tick(now_s)
        account = self._accounts[camera]
        room = self._hard_room(account, now_s, audit)
        if self._site is not None and not audit:
            room = min(room, max(0.0, account.balance))
        return room

    def price(self, camera: str) -> float:
        """Utility that a unit must bring."""
        rate = self.rate(camera)
        nu = self._accounts[camera].price.nu
        # A budget of nothing has no price: its bucket refuses everything anyway.
        return nu / rate if rate > 0 and math.isfinite(rate) else 0.0

    def nu(self, camera: str) -> float:
        """Utility that a second of the camera's budget must bring."""
        return self._accounts[camera].price.nu

    def take(
        self,
        camera: str,
        amount: float,
        now_s: float,
        *,
        audit: bool = False,
        stretch: bool = False,
        over_share: bool = False,
    ) -> Grip | None:
        """Take what a question needs.

        Args:
            camera: whose question.
            amount: units.
            now_s: monotonic time, seconds.
            audit: it may use what is kept for audits.
            stretch: it may overdraw the camera's share of the site's budget, see `STRETCH`.
            over_share: that share does not matter: it is a little more for what is decided.

        Returns:
            What `settle` is to be given once it has passed; ``None`` where it is not there.
        """
        check(amount, self.name)
        account = self._accounts[camera]
        # Made larger than was foreseen: what is made and not sent costs more than it saves. An
        # update of a canvas that is refused takes a key frame after it.
        soft = over_share or (stretch and amount <= STRETCH * account.balance)
        room = self.room(camera, now_s, audit=audit)
        if amount > (self._hard_room(account, now_s, audit) if soft else room):
            return None
        own, site = (
            None if bucket is None else bucket.hold(amount, now_s, audit=audit)
            for bucket in (account.own, self._site)
        )
        self._book(account, amount)
        return Grip(amount, own, site)

    def settle(self, camera: str, grip: Grip, used: float, now_s: float) -> None:
        """What was taken has passed, or never will: what was not used is given back."""
        account = self._accounts[camera]
        for bucket, hold in ((account.own, grip.own), (self._site, grip.site)):
            if bucket is not None and hold is not None:
                bucket.settle(hold, used, now_s)
        self._book(account, used - grip.amount)

    def tick(self, now_s: float) -> None:
        """Let time pass: prices move, and shares are divided anew."""
        passed_s = check_time(now_s) - self._ticked_s
        if passed_s < 0:
            # The clock went back: go on from where it is, and let nothing be earned twice.
            self._ticked_s = self._shared_s = now_s
            return
        if passed_s < TICK_S:
            return
        self._ticked_s = now_s
        if self._site is not None:
            self._pay_out(passed_s, self._site.burst)
        for account in self._accounts.values():
            account.move(passed_s, self._burst_s, now_s, shared=self._site is not None)
        if now_s - self._shared_s >= SHARE_EVERY_S:
            self._shared_s = now_s
            self._divide()

    def _hard_room(self, account: Account, now_s: float, audit: bool) -> float:
        """What the buckets hold, whatever the camera's share."""
        buckets = (account.own, self._site)
        rooms = [one.room(now_s, audit=audit) for one in buckets if one is not None]
        return min(rooms, default=math.inf)

    def _pay_out(self, passed_s: float, site_burst: float) -> None:
        """Each camera gets its share; what one has no room to save is lent to the others."""
        accounts = self._accounts
        most = {key: one.saves(self._burst_s, site_burst) for key, one in accounts.items()}
        spare = sum(one.earn(one.granted * passed_s, most[key]) for key, one in accounts.items())
        if not spare:
            for one in accounts.values():
                one.lent *= 1 - smoothing(passed_s)
            return
        room = {key: max(0.0, most[key] - one.balance) for key, one in accounts.items()}
        weights = {key: one.weight for key, one in accounts.items()}
        for key, amount in pour(spare, room, weights).items():
            accounts[key].earn(amount, most[key])
            accounts[key].lent += (amount / passed_s - accounts[key].lent) * smoothing(passed_s)

    def _book(self, account: Account, amount: float) -> None:
        account.spent += amount
        if self._site is not None:
            account.balance -= amount

    def _divide(self) -> None:
        if self._site is None:
            return
        rate = self._site.rate
        claims = []
        for camera, account in self._accounts.items():
            most = math.inf if account.own is None else account.own.rate
            wanted = account.mean * _HEADROOM + _LEAST_WANTED * rate
            if account.price.nu > _DEAR:
                wanted = math.inf
            claims.append(
                Claim(camera, min(wanted, most), min(account.required, most), account.weight)
            )
        self._shares = share(rate, claims)
        for given in self._shares:
            self._accounts[given.camera].granted = given.granted
