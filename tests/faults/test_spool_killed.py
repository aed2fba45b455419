"""The spool of a process that is killed: what was acknowledged is there, nothing is half there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from secondlook.edge.uplink.settings import SpoolSettings
from secondlook.edge.uplink.spool import Spool
from secondlook.shared.clock import SystemClock

WRITER = """
import sys
from pathlib import Path

from secondlook.edge.uplink.settings import SpoolSettings
from secondlook.edge.uplink.spool import Spool
from secondlook.shared.clock import SystemClock
from secondlook.shared.values import Escalation, ImageEncoding, Placement, Purpose, Region

spool = Spool(Path(sys.argv[1]), SpoolSettings(), SystemClock().wall)
spool.open()
number = int(sys.argv[2])
while True:
    region = Region(0, 0, 64, 64)
    asked = Escalation(
        f"q-{number}", "gate", number, 0.0, 64, 64, bytes([number % 251]) * 200_000,
        ImageEncoding.WEBP, (Placement(region, 0, 0, 64, 64),), Purpose.AUDIT,
    )
    assert spool.put(asked, str(number).encode())
    print(number, flush=True)
    number += 1
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    acknowledged: list[int] = []
    for round_number in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(1000 * round_number)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        acknowledged += [int(writer.stdout.readline()) for _ in range(6 + round_number)]
        writer.kill()
        acknowledged += [int(line) for line in writer.stdout.read().split()]
        writer.wait()
        writer.stdout.close()
    spool = Spool(tmp_path, SpoolSettings(), SystemClock().wall)
    spool.open()
    found: list[int] = []
    while (item := spool.oldest()) is not None:
        number = item.escalation.sequence
        assert item.note == str(number).encode()
        assert item.escalation.image == bytes([number % 251]) * 200_000
        found.append(number)
        spool.remove(item)
    assert found == sorted(found)
    assert set(acknowledged) <= set(found)
    # One of each round may have been whole on disk and not yet acknowledged.
    assert len(found) <= len(acknowledged) + 4
    # At most what was being written when it was killed is dropped, and it was never acknowledged.
    assert spool.counts.corrupt <= 1
