"""What a process can do that serves nobody: decode and detect, one picture after the other.

The baseline of the real job of ``secondlook bench serve``::

    python -m secondlook.cli.bench.serve.loop heavy.onnx street.jpg

Reads lines of seconds; answers each with the seconds that every picture took it in that time, as a
JSON list.
"""

from __future__ import annotations

import json
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
        took: list[float] = []
        now_s = time.perf_counter()
        end_s = now_s + float(line)
        while now_s < end_s:
            detector.detect([decode_image(data, ImageEncoding.JPEG, 64_000_000)])
            then_s, now_s = now_s, time.perf_counter()
            took.append(now_s - then_s)
        print(json.dumps(took), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
