"""What `detect` costs beyond the network: its time as a ratio to a bare ``session.run``.

    PYTHONPATH=tests python tests/bench/bench_detector.py [MODEL.onnx ...] [--rounds 30]

Both are measured in turns in the same run, so that a busy machine disturbs both alike.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from support.networks import write_bright_spot_model

from secondlook.shared.detect import NetworkDetector, load_detector
from secondlook.shared.detect.runtime import ort
from secondlook.shared.detect.session import usable_cores

MATERIAL = Path(__file__).resolve().parents[3] / "shared"


def picture() -> np.ndarray:
    """A frame of a real clip where there is one, else noise."""
    capture = cv2.VideoCapture(str(MATERIAL / "clips" / "bottle-detection.mp4"))
    found, image = capture.read()
    capture.release()
    return image if found else np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8)


def bare(path: Path, threads: int, spin: bool) -> tuple[Any, dict[str, np.ndarray]]:
    """A session as anyone would open it, and an input for it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    value = session.get_inputs()[0]
    shape = [n if isinstance(n, int) else 1 for n in value.shape]
    dtype = np.uint8 if "uint8" in value.type else np.float32
    return session, {value.name: np.zeros(shape, dtype)}


def measure(path: Path, threads: int, spin: bool, rounds: int) -> None:
    detector = load_detector(path, threads=threads, spin=spin, names=_names(path))
    session, feed = bare(path, threads, spin)
    image = picture()
    times: dict[str, list[float]] = {"bare": [], "detect": [], "pre": [], "post": []}
    for _ in range(3):
        session.run(None, feed)
        detector.detect([image])
    processor = time.process_time()
    for _ in range(rounds):
        started = time.perf_counter()
        session.run(None, feed)
        ran = time.perf_counter()
        detector.detect([image])
        times["bare"].append(ran - started)
        times["detect"].append(time.perf_counter() - ran)
        times["pre"].append(detector.stage_timings.preprocess_s)
        times["post"].append(detector.stage_timings.postprocess_s)
    processor = (time.process_time() - processor) / rounds / 2
    middle = {name: statistics.median(values) * 1e3 for name, values in times.items()}
    least = {name: min(values) * 1e3 for name, values in times.items()}
    click.echo(
        f"{path.stem:14} threads {threads} spin {spin!s:5} | bare {middle['bare']:7.2f} ms "
        f"detect {middle['detect']:7.2f} ms | "
        f"ratio of medians {middle['detect'] / middle['bare']:.3f}, "
        f"of bests {least['detect'] / least['bare']:.3f} | "
        f"pre {middle['pre']:.2f} post {middle['post']:.2f} ms | cpu {processor * 1e3:6.1f} ms/run"
    )
    click.echo(f"{'':14} {_memory(detector, image)}")


def _names(path: Path) -> str | None:
    return "coco" if path.stem == "yolox_nano" else None


def _memory(detector: NetworkDetector, image: np.ndarray) -> str:
    written = detector.stage_timings.bytes_written
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    detector.detect([image])
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return (
        f"{written / 1e6:.2f} MB written before the network (frame {image.nbytes / 1e6:.2f} MB), "
        f"allocations of a call peak at {peak / 1e3:.0f} kB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=30)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        models = args.models or sorted((MATERIAL / "models").glob("*.onnx"))
        models = models or [write_bright_spot_model(Path(folder) / "tiny.onnx")]
        for path in models:
            for threads in sorted({1, usable_cores()}):
                for spin in (False, True) if threads > 1 else (False,):
                    measure(path, threads, spin, args.rounds)


if __name__ == "__main__":
    main()
