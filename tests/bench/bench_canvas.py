"""What a canvas stream costs: bytes on the wire beside the payload, encoder and decoder time.

    PYTHONPATH=tests python tests/bench/bench_canvas.py [FRAMES.npy ...]

Everything passes a proxy that counts the payload of TCP. Frames are of the simulated street, or of
the files given: arrays of uint8 (n, height, width, 3) BGR.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import anyio
import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry
from support.canvas import cut, psnr, scene
from support.cloud import FakeDetector, fake_cloud
from unit.edge.uplink.test_client import Mail

from secondlook.cloud.canvas.decoder import CanvasDecoder
from secondlook.edge.carrier import CanvasEncoder, CanvasSettings
from secondlook.edge.regions import Canonical
from secondlook.edge.uplink.session import SessionUplink
from secondlook.edge.uplink.settings import UplinkSettings
from secondlook.shared.clock import SystemClock
from secondlook.shared.measure import CountingProxy
from secondlook.shared.values import Escalation, Region

_UPDATES = 200


def escalation_of(
    encoder: CanvasEncoder, image: npt.NDArray[np.uint8], region: Region, number: int
) -> Escalation:
    frame = Canonical.of(image.shape[1], image.shape[0], 640)
    carried = encoder.encode(image, (region,), frame, 10_000_000)
    return Escalation(
        request_id=f"q-{number}",
        camera="site/camera",
        sequence=number,
        captured_at=0.0,
        frame_width=image.shape[1],
        frame_height=image.shape[0],
        image=carried.image,
        encoding=carried.encoding,
        placements=carried.placements,
        canvas=carried.canvas,
    )


async def wire() -> None:
    """Updates of a canvas that stands still: all that is not payload."""
    image, encoder, mail = scene(640, 360), CanvasEncoder(CanvasSettings()), Mail()
    async with fake_cloud(FakeDetector()) as (cloud, _):
        proxy = CountingProxy("127.0.0.1", cloud.port)
        async with proxy.running():
            settings = UplinkSettings(address=proxy.target)
            async with SessionUplink(settings, SystemClock(), CollectorRegistry()) as uplink:
                units, start, messages = [], proxy.traffic, 0
                for number in range(_UPDATES + 5):
                    if number == 5:
                        start, messages = proxy.traffic, uplink.meter.totals.sent_bytes
                        received = uplink.meter.totals.received_bytes
                    asked = escalation_of(encoder, image, Region(64, 64, 96, 64), number)
                    units.append(len(asked.image))
                    await uplink.submit(asked, mail)
                    await uplink.wait_idle()
                    if number == 0:
                        opened = proxy.traffic
                traffic = proxy.traffic - start
                messages = uplink.meter.totals.sent_bytes - messages
                received = uplink.meter.totals.received_bytes - received
    count = float(_UPDATES)
    payload = sum(units[5:]) / count
    print(f"unchanged canvas of 640x360, {_UPDATES} updates, each answered before the next")
    print(
        f"  unit {payload:.1f} B, message {messages / count:.1f} B, "
        f"wire {traffic.up / count:.1f} B up"
    )
    print(f"  reply {received / count:.1f} B, wire {traffic.down / count:.1f} B down")
    print(f"  first update: unit {units[0]} B, wire {opened.up} B up, set-up {opened.setup_up} B")


def codec(name: str, frames: npt.NDArray[np.uint8]) -> None:
    """Encoder and decoder on moving regions."""
    height, width = frames.shape[1:3]
    encoder, decoder = CanvasEncoder(CanvasSettings()), CanvasDecoder()
    frame = Canonical.of(width, height, 640)
    regions = (
        Region(width // 4, height // 3, width // 5, height // 5),
        Region(width * 5 // 8, height // 2, width // 6, height // 6),
    )
    sizes, encode_ms, decode_ms, quality, cpu = [], [], [], [], time.process_time()
    for image in frames:
        started = time.perf_counter()
        carried = encoder.encode(np.ascontiguousarray(image), regions, frame, 10_000_000)
        encoded = time.perf_counter()
        assert carried.canvas is not None
        picture = decoder.decode(carried.canvas, carried.image)
        decode_ms.append((time.perf_counter() - encoded) * 1e3)
        encode_ms.append((encoded - started) * 1e3)
        sizes.append(len(carried.image))
        if (frame.width, frame.height) == (width, height):
            place = carried.placements[0]
            quality.append(psnr(cut(picture, place), cut(image, place)))
    cpu = (time.process_time() - cpu) / len(frames)
    print(f"{name}: {width}x{height}, {len(frames)} updates of {len(regions)} regions")
    print(
        f"  key frame {sizes[0]} B, then {statistics.mean(sizes[1:]):.0f} B "
        f"(median {statistics.median(sizes[1:]):.0f})"
        + (f", {statistics.mean(quality[1:]):.1f} dB" if quality else "")
    )
    print(
        f"  encode {statistics.median(encode_ms[1:]):.2f} ms, "
        f"decode {statistics.median(decode_ms[1:]):.2f} ms (medians), both {cpu * 1e3:.2f} ms CPU"
    )


def main() -> None:
    """Print it all."""
    anyio.run(wire)
    codec("moving square", np.stack([scene(640, 360, shift=4 * k) for k in range(60)]))
    for path in sys.argv[1:]:
        codec(Path(path).stem, np.load(path, mmap_mode="r")[:150])


if __name__ == "__main__":
    main()
