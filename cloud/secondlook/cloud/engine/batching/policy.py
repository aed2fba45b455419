"""How a batcher queues, batches and refuses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from secondlook.cloud.repository.config import ModelConfig


class Overflow(str, Enum):
    """What a full queue does with one request more.

    Either way less urgent work makes room for more urgent work, and whoever fills more of the
    queue makes room for whoever fills less.
    """

    REJECT = "reject"
    """The newcomer is refused with `Overloaded`."""

    DROP_OLDEST = "drop_oldest"
    """The request that has waited longest is refused with `Overloaded`, the newcomer waits."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One batcher's rules.

    Attributes:
        max_batch: most rows that are put together; at least 1.
        max_rows: most rows of one request, which then has a call of its own; 0: ``max_batch``.
        max_queue: most requests that wait.
        max_per_tenant: most of them of one tenant; 0: no bound but that of the queue.
        overflow: what a full queue does.
        preferred: sizes, in rows, that the network likes; empty: any.
        max_queue_delay_s: longest wait of an idle device for a fuller batch, seconds. It waits
            only while what it has measured says that a fuller batch pays.
        admission: refuse at once what could not be answered in time.
        patience_s: after this wait, a request of a lower class may go before a higher class,
            seconds.
    """

    max_batch: int = 1
    max_rows: int = 0
    max_queue: int = 64
    max_per_tenant: int = 0
    overflow: Overflow = Overflow.REJECT
    preferred: tuple[int, ...] = ()
    max_queue_delay_s: float = 0.0
    admission: bool = True
    patience_s: float = 1.0

    @classmethod
    def of(cls, config: ModelConfig, max_batch: int, defaults: Policy) -> Policy:
        """What a model's own configuration says, over the service's defaults.

        Args:
            config: of the model.
            max_batch: most rows that its backend takes in one call.
            defaults: what holds where the model says nothing.
        """
        most, batching = max(1, max_batch), config.batching
        if batching is None:
            return replace(
                defaults, max_batch=1, max_rows=most, preferred=(), max_queue_delay_s=0.0
            )
        return replace(
            defaults,
            max_batch=most,
            max_rows=most,
            max_queue=batching.max_queue or defaults.max_queue,
            preferred=tuple(size for size in sorted(batching.preferred) if size <= most),
            max_queue_delay_s=batching.max_queue_delay_s,
        )
