"""What the verdict cache saves on a replayed clip: hit rate, bytes, and time of the network.

An edge's questions about a clip (a whole frame now and then, else the boxes that the light model
is unsure of, JPEG) are put to the judge, in the same order:

- ``first``: as they come; hits are questions that the clip itself repeats (a still scene);
- ``retried``: each question twice in a row, as after an answer that was lost on its way;
- ``hedged``: each question twice at the same time;
- ``late``: the whole clip once more, as a spool sends it: with the capture times of then, so that
  regions lie on the background that the camera has by now;
- ``replayed``: the whole clip once more, as a camera that plays a file again;
- ``restarted``: once more, after a restart that was warmed up from the context memory.

Then what a lookup costs, against the network and against no cache.

    PYTHONPATH=tests python tests/bench/bench_cache.py [--clip FILE --light M.onnx --heavy M.onnx]
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
from prometheus_client import CollectorRegistry
from support.cloud_questions import Direct, questions_of

from secondlook.cloud.cache import CachedEngine, CacheMetrics, VerdictCache, Warmth, content_of
from secondlook.cloud.judge import Judge
from secondlook.cloud.metrics import JudgeMetrics
from secondlook.cloud.picture.background import Backgrounds
from secondlook.cloud.picture.decoders import Decoders
from secondlook.shared.clock import Deadline, SystemClock
from secondlook.shared.detect import load_detector
from secondlook.shared.detect.protocol import Image
from secondlook.shared.memory import open_store
from secondlook.shared.sim import StreetCamera, StreetConfig
from secondlook.shared.values import Escalation
from secondlook.shared.zoo import model_file

CLOCK = SystemClock()


def frames_of(clip: str | None, count: int, stride: int) -> Iterator[Image]:
    """Frames of a file, or of the simulated street."""
    if clip is None:
        camera = StreetCamera(StreetConfig(seed=5, width=640, height=360))
        yield from (camera.draw(index * stride).image for index in range(count))
        return
    capture = cv2.VideoCapture(clip)
    for index in range(count * stride):
        found, image = capture.read()
        if not found:
            break
        if index % stride == 0:
            yield image
    capture.release()


@dataclass
class Round:
    """What one way of asking did."""

    questions: int = 0
    sent_bytes: int = 0
    spared: int = 0
    spared_bytes: int = 0
    hit_s: list[float] = field(default_factory=list)
    miss_s: list[float] = field(default_factory=list)


class Cloud:
    """A judge over a cache over a detector."""

    def __init__(self, direct: Direct, max_bytes: int) -> None:
        self.direct = direct
        self.registry = CollectorRegistry()
        self.metrics = CacheMetrics(self.registry)
        self.cache = VerdictCache(max_bytes, self.metrics)
        self.engine = CachedEngine(direct, self.cache)
        self.decoders = Decoders(max_pending=256)
        self.judge = Judge(
            self.engine,
            Backgrounds(8, 1e9),
            self.decoders,
            JudgeMetrics(self.registry),
            max_concurrent=256,
        )

    async def ask(self, asked: Escalation, done: Round) -> None:
        began_s, ran = time.perf_counter(), self.direct.calls
        verdict = await self.judge.judge(asked, Deadline.after(600, CLOCK))
        took_s = time.perf_counter() - began_s
        done.questions += 1
        done.sent_bytes += len(asked.image)
        if verdict.timings.infer_s:
            done.miss_s.append(took_s)
        else:
            done.spared += 1
            done.spared_bytes += len(asked.image)
            done.hit_s.append(took_s)
        assert self.direct.calls >= ran

    def saved(self, name: str) -> float:
        metric = f"secondlook_cloud_cache_saved_{name}_total"
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == metric
        )


@asynccontextmanager
async def cloud(direct: Direct, max_bytes: int) -> AsyncIterator[Cloud]:
    one = Cloud(direct, max_bytes)
    try:
        yield one
    finally:
        one.decoders.close()
        one.engine.close()


async def play(one: Cloud, asked: Sequence[Escalation], how: str) -> Round:
    done = Round()
    for question in asked:
        if how == "hedged":
            await asyncio.gather(*(one.ask(question, done) for _ in range(2)))
        else:
            for _ in range(2 if how == "retried" else 1):
                await one.ask(question, done)
    return done


def later(asked: Sequence[Escalation]) -> list[Escalation]:
    """The same questions of a camera that goes on."""
    return [replace(one, captured_at=one.captured_at + 1e6) for one in asked]


def tell(name: str, done: Round, one: Cloud, before: tuple[float, float]) -> None:
    pixels, seconds = one.saved("bytes") - before[0], one.saved("seconds") - before[1]
    print(
        f"{name:10} {done.questions:5} questions  {done.spared / done.questions:6.1%} spared  "
        f"{done.spared_bytes / 1e3:8.0f} of {done.sent_bytes / 1e3:6.0f} kB JPEG  "
        f"{pixels / 1e6:7.1f} MB pixels  {seconds:6.2f} s network"
    )


def median_ms(took_s: Sequence[float]) -> float:
    return statistics.median(took_s) * 1e3 if took_s else float("nan")


async def run(arguments: argparse.Namespace) -> None:
    cv2.setNumThreads(1)
    light = load_detector(str(model_file(arguments.light)))
    frames = list(frames_of(arguments.clip, arguments.frames, arguments.stride))
    asked = list(questions_of(frames, light, whole_every=arguments.whole_every))
    direct = Direct(load_detector(str(model_file(arguments.heavy))))
    store = await open_store("sqlite:///:memory:")
    print(f"{len(frames)} frames, {len(asked)} questions, {direct.info.name} {direct.info.version}")
    hits: list[float] = []
    misses: list[float] = []
    for how in ("first", "retried", "hedged"):
        async with cloud(direct, arguments.max_bytes) as one:
            done = await play(one, asked, how)
            tell(how, done, one, (0.0, 0.0))
            hits += done.hit_s if how == "retried" else []
            misses += done.miss_s if how == "first" else []
    async with cloud(direct, arguments.max_bytes) as one:
        await play(one, asked, "first")
        for how in ("late", "replayed"):
            again = asked if how == "late" else later(asked)
            before = one.saved("bytes"), one.saved("seconds")
            tell(how, await play(one, again, how), one, before)
        entries, size = len(one.cache.shelves), one.cache.shelves.bytes
        await Warmth(one.engine, store, one.metrics, CLOCK.wall).save()
    async with cloud(direct, arguments.max_bytes) as one:
        warmed = await Warmth(one.engine, store, one.metrics, CLOCK.wall).warm_up()
        done = await play(one, asked, "restarted")
        tell("restarted", done, one, (0.0, 0.0))
    print(f"kept: {entries} answers in {size / 1e3:.0f} kB; taken over a restart: {warmed}")
    print(f"judged: {median_ms(misses):.2f} ms from the network, {median_ms(hits):.2f} ms known")
    await costs(direct, frames[0])
    await store.close()


async def costs(direct: Direct, image: Image) -> None:
    """What a lookup takes, against the network."""
    digest = [_timed(lambda: content_of(image, 0.05)) for _ in range(50)]
    network = [_timed(lambda: direct.detector_itself.detect([image], 0.05)) for _ in range(20)]
    ratio = median_ms(digest) / median_ms(network)
    print(
        f"digest of {image.nbytes / 1e3:.0f} kB: {median_ms(digest):.2f} ms CPU, "
        f"{ratio:.1%} of the network's {median_ms(network):.1f} ms"
    )


def _timed(work: Any) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", help="video file; default: the simulated street")
    parser.add_argument("--light", default="zoo:street_light", help="model of the edge")
    parser.add_argument("--heavy", default="zoo:street_heavy", help="model of the cloud")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--stride", type=int, default=5, help="every so many frames one is taken")
    parser.add_argument("--whole-every", type=int, default=20, help="frames between whole ones")
    parser.add_argument("--max-bytes", type=int, default=32 * 1024 * 1024)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
