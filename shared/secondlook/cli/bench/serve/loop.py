"""What a process can do that serves nobody: decode and detect, one picture after the other.

The baseline of the real job of ``secondlook bench serve``::

    python -m secondlook.cli.bench.serve.loop heavy.onnx street.jpg

Reads lines of seconds; answers each with the pictures that it did in that time, and how long that
took.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from secondlook.cloud.picture.decode import decode_image
from secondlook.shared.detect import load_detector
from secondlook.shared.values import ImageEncoding


def _main(model: str, picture: str) -> None:
    detector = load_detector(Path(model))
    data = Path(picture).read_bytes()
    detector.warm_up()
    print("ready", flush=True)
    for line in sys.stdin:
        seconds, done = float(line), 0
        began_s = time.perf_counter()
        while time.perf_counter() - began_s < seconds:
            detector.detect([decode_image(data, ImageEncoding.JPEG, 64_000_000)])
            done += 1
        print(done, time.perf_counter() - began_s, flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
