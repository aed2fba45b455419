"""What capture costs: ``python tests/bench/bench_capture.py [FRAMES]``.

Decodes the same H.264 clip with PyAV alone (decode and conversion to BGR, in one process) and
through the capture process, and prints the ratio of both runs. Never a test: times are the
machine's.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.clips import write_clip

from secondlook.edge.capture.clip import read_clip
from secondlook.shared.telemetry import configure_logging

SIZES = ((640, 384), (1920, 1080))


def _texture(count: int, width: int, height: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    wide = rng.integers(0, 255, (height // 8 + 1, width // 8 + count, 3), np.uint8)
    wide = wide.repeat(8, axis=0).repeat(8, axis=1)
    return [np.ascontiguousarray(wide[:height, 4 * i : 4 * i + width]) for i in range(count)]


def _cpu_s(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def _baseline(path: Path) -> tuple[int, float]:
    started = time.perf_counter()
    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        for frame in container.decode(stream):
            frame.to_ndarray(format="bgr24")
            count += 1
    return count, time.perf_counter() - started


def _capture(path: Path) -> tuple[int, float, int]:
    frames = read_clip(str(path))
    next(frames)  # starting a process is not what is measured
    started = time.perf_counter()
    count = copied = 0
    for captured in frames:
        count += 1
        copied += captured.bytes_copied
    return count, time.perf_counter() - started, copied


def main() -> None:
    """Measure and print."""
    configure_logging("error")
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    for width, height in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            path = write_clip(Path(folder) / "a.mp4", _texture(count, width, height), fps=30)
            cpu_s = -_cpu_s(resource.RUSAGE_SELF)
            frames, alone_s = _baseline(path)
            cpu_s += _cpu_s(resource.RUSAGE_SELF)
            alone_cpu_s = cpu_s
            own_s, child_s = -_cpu_s(resource.RUSAGE_SELF), -_cpu_s(resource.RUSAGE_CHILDREN)
            captured, captured_s, copied = _capture(path)
            own_s += _cpu_s(resource.RUSAGE_SELF)
            child_s += _cpu_s(resource.RUSAGE_CHILDREN)
        sys.stdout.write(
            f"{width}x{height}: PyAV alone {frames / alone_s:.0f} frames/s "
            f"({1e3 * alone_cpu_s / frames:.2f} ms CPU a frame); capture "
            f"{captured / captured_s:.0f} frames/s (CPU a frame: {1e3 * child_s / captured:.2f} ms "
            f"decoder with its start, {1e3 * own_s / captured:.2f} ms agent); time ratio "
            f"{(captured_s / captured) / (alone_s / frames):.2f}; "
            f"{copied // captured} bytes copied a frame "
            f"({copied / captured / width / height / 3:.2f} copies)\n"
        )


if __name__ == "__main__":
    main()
