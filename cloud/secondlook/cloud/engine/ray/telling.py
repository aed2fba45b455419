"""What a replica has counted, on its way to the metrics of the processes in front.

A replica has no port of its own, and comes and goes: it tells the `Keeper` each second, and each
process in front asks for those that it needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from secondlook.cloud.engine.ray.libraries import KEEPER, NAMESPACE, libraries
from secondlook.cloud.engine.ray.reports import Family, Report
from secondlook.cloud.repository.config import Release

EVERY_S = 1.0
"""So often, seconds."""

ENGINE = "secondlook_cloud_engine_"
REPLICA = "secondlook_cloud_replica_"
"""In place of the first, in the names: every process in front shows every replica, so that these
are never to be added up with what each of them has counted itself."""


def families(registry: CollectorRegistry) -> tuple[Family, ...]:
    """Everything that was counted in a registry."""
    return tuple(
        Family(
            _renamed(metric.name),
            metric.documentation,
            metric.type,
            tuple(
                (_renamed(sample.name), sample.labels, sample.value)
                for sample in metric.samples
                if not sample.name.endswith("_created")
            ),
        )
        for metric in registry.collect()
    )


async def telling(registry: CollectorRegistry, application: str, replica: str) -> None:
    """Tell the keeper, for ever, what is in a registry."""
    ray, _ = libraries()
    keeper: Any = None
    while True:
        try:
            if keeper is None:
                keeper = await asyncio.to_thread(ray.get_actor, KEEPER, NAMESPACE)
            await keeper.report.remote(Report(application, replica, families(registry)))
        except (ValueError, ray.exceptions.RayError):
            # There is none now; what was counted is told to the next one.
            keeper = None
        await asyncio.sleep(EVERY_S)


class ReplicaMetrics(Collector):
    """In the registry of a process in front: what the replicas said last.

    Args:
        registry: where it is to be read.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._told: Sequence[tuple[Release, Report]] = ()
        registry.register(self)

    def show(self, told: Sequence[tuple[Release, Report]]) -> None:
        """This is what they say now; the others have gone.

        Args:
            told: what they run, and what they say.
        """
        self._told = told

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead: replicas say what they have."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every series, labelled by model, version, variant and replica."""
        found: dict[str, Metric] = {}
        for release, report in self._told:
            labels = {
                "model": release.config.name,
                "version": release.version,
                "variant": release.variant,
                "replica": report.replica,
            }
            for family in report.families:
                metric = found.setdefault(
                    family.name, Metric(family.name, family.text, family.kind)
                )
                for name, own, value in family.samples:
                    metric.add_sample(name, {**own, **labels}, value)
        yield from found.values()


def _renamed(name: str) -> str:
    return REPLICA + name.removeprefix(ENGINE) if name.startswith(ENGINE) else name
