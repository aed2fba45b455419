"""The numbers of ``secondlook bench memory`` for people and for machines."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from secondlook.cli.bench.memory.callers import Load
from secondlook.cli.bench.memory.run import CHANGED, MemoryBench


def show(found: MemoryBench, console: Console) -> None:
    """Print tables, each with its ratio and the aim."""
    table = Table(title="saves a second: ours, bare, ours / bare")
    for name in ("store", "callers", "ours /s", "bare /s", "ratio", "aim"):
        table.add_column(name, justify="left" if name == "store" else "right")
    for name, aim, loads in (("redis", 0.8, found.redis), ("sqlite", 0.7, found.sqlite)):
        for callers, load in loads.items():
            table.add_row(
                name,
                str(callers),
                f"{load['store'].per_s:,.0f}",
                f"{load['bare'].per_s:,.0f}",
                f"{throughput_ratio(load):.2f}",
                f">= {aim}",
            )
    console.print(table)
    if found.remote:
        table = Table(title="p50 of a save through the service, ms")
        for name in ("callers", "remote", "gRPC echo", "bare Redis", "ratio to their sum", "aim"):
            table.add_column(name, justify="right")
        for callers, load in found.remote.items():
            table.add_row(
                str(callers),
                f"{load['remote'].p50_ms:.2f}",
                f"{load['echo'].p50_ms:.2f}",
                f"{load['redis'].p50_ms:.2f}",
                f"{latency_ratio(load):.2f}",
                "<= 1.3",
            )
        console.print(table)
    table = Table(title=f"fetching {CHANGED:,} changes")
    for name in ("store", "records", "ms", "ratio", "aim", "bytes / change, compressed"):
        table.add_column(name, justify="left" if name == "store" else "right")
    for name, syncs in found.syncs.items():
        for one in syncs:
            table.add_row(
                name,
                f"{one.records:,}",
                f"{one.ms:.1f}",
                f"{one.ms / syncs[0].ms:.2f}",
                "<= 1.5",
                f"{one.bytes_per_change:.0f}",
            )
    console.print(table)
    if found.bytes_per_record is not None:
        console.print(f"memory of Redis for a record: {found.bytes_per_record:,.0f} bytes")
    else:
        console.print("no Redis: give --redis URL, or install redis-server")


def document_of(found: MemoryBench) -> dict[str, Any]:
    """The same as a JSON object, with the ratios."""
    return {
        **asdict(found),
        "redis_ratio": {count: throughput_ratio(load) for count, load in found.redis.items()},
        "sqlite_ratio": {count: throughput_ratio(load) for count, load in found.sqlite.items()},
        "remote_ratio": {count: latency_ratio(load) for count, load in found.remote.items()},
        "sync_ratio": {name: syncs[-1].ms / syncs[0].ms for name, syncs in found.syncs.items()},
    }


def throughput_ratio(load: dict[str, Load]) -> float:
    """Ours over bare."""
    return load["store"].per_s / load["bare"].per_s


def latency_ratio(load: dict[str, Load]) -> float:
    """Median of a remote save over the sum of what it cannot do without."""
    return load["remote"].p50_ms / (load["echo"].p50_ms + load["redis"].p50_ms)
