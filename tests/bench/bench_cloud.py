"""What an escalation costs beyond what it must: CPU per request, and images a second.

Three servers, each in a process of its own, get the same escalation (a 640x360 JPEG of about 60 kB)
over the same loopback; the model is a fake that answers at once:

- ``echo``: grpc.aio that parses the request and sends an empty verdict: the floor of a Python call;
- ``bare``: the same that also decodes the JPEG, runs the model and sends its boxes, all inline: no
  queue, no deadline, no other caller served meanwhile;
- ``secondlook``: the service, with its deadlines, batcher, metrics, spans, backgrounds.

Then, with a real model, images a second of the service against a bare loop over the detector.

    python tests/bench/bench_cloud.py [--requests 2000] [--callers 8] [--model heavy.onnx]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import grpc.aio
import numpy as np
import uvloop
from support.cloud import FakeDetector, escalation_stub, picture, settings, whole_frame

from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.service import running_cloud
from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.rpc.v1 import escalation_pb2_grpc as pb_grpc
from secondlook.shared.detect import load_detector
from secondlook.shared.values import Detections, ImageEncoding
from secondlook.shared.wire.escalation import request_to_proto

KINDS = ("echo", "bare", "secondlook")
WARM_UP = 100


class Instant(FakeDetector):
    """Answers at once, and keeps nothing."""

    def detect(self, images: Any, min_score: float = 0.05) -> list[Detections]:
        return [Detections.of([[1, 2, 3, 4]], [0.5], [0], self.info.names) for _ in images]


class Echo(pb_grpc.EscalationServicer):
    """The floor, with or without the work that every server must do."""

    def __init__(self, model: FakeDetector | None) -> None:
        self._model = model

    async def Escalate(self, request: pb.EscalateRequest, context: Any) -> pb.EscalateResponse:
        reply = pb.EscalateResponse(request_id=request.request_id, model="m", model_version="1")
        if self._model is not None:
            image = cv2.imdecode(np.frombuffer(request.image, np.uint8), cv2.IMREAD_COLOR)
            (found,) = self._model.detect([image])
            reply.detections.boxes.extend(found.boxes.ravel().tolist())
            reply.detections.scores.extend(found.scores.tolist())
            reply.detections.classes.extend(found.classes.tolist())
            reply.detections.class_names.extend(found.names)
        return reply


def picture_of_60_kb() -> np.ndarray:
    """Noise, blurred until its JPEG has the size of a real frame's."""
    noise = np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.2)


def request(image: np.ndarray, request_id: str) -> pb.EscalateRequest:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    escalation = whole_frame(image, request_id, image=data, encoding=ImageEncoding.JPEG)
    return request_to_proto(escalation)


async def serve(kind: str, model: str | None) -> None:
    """Serve until killed; prints the port."""
    cv2.setNumThreads(1)
    if kind == "secondlook":
        loaded = Loaded(load_detector(model) if model else Instant(max_batch=8))
        async with running_cloud(settings(), load=lambda _: [loaded]) as cloud:
            print(cloud.port, flush=True)
            await asyncio.Event().wait()
    server = grpc.aio.server()
    pb_grpc.add_EscalationServicer_to_server(Echo(Instant() if kind == "bare" else None), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await asyncio.Event().wait()


@contextmanager
def server(kind: str, model: str | None = None) -> Any:
    """Pid and port of a server process."""
    arguments = [sys.executable, __file__, "--serve", kind, *(["--model", model] if model else [])]
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        while said and not said.strip().isdigit():
            said = process.stdout.readline()
        yield process.pid, int(said)
    finally:
        process.kill()
        process.wait()


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(port: int, message: pb.EscalateRequest, requests: int, callers: int) -> list[float]:
    """Ask; returns the latency of each request, seconds."""
    latencies: list[float] = []
    left = iter(range(requests))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = escalation_stub(channel)

        async def caller() -> None:
            for _ in left:
                started_s = time.perf_counter()
                await stub.Escalate(message, timeout=60)
                latencies.append(time.perf_counter() - started_s)

        await asyncio.gather(*(caller() for _ in range(callers)))
    return latencies


def overhead(name: str, image: np.ndarray, requests: int, callers: int, rounds: int) -> None:
    """CPU per request of each server, interleaved, so that a busy machine hurts all alike."""
    message = request(image, "r")
    print(f"{name}, {len(message.image) / 1000:.1f} kB, {callers} callers, {requests} requests")
    spent: dict[str, list[float]] = {kind: [] for kind in KINDS}
    p50: dict[str, list[float]] = {kind: [] for kind in KINDS}
    rate: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind in KINDS:
            with server(kind) as (pid, port):
                uvloop.run(load(port, message, WARM_UP, callers))
                before_s, began_s = cpu_s(pid), time.perf_counter()
                latencies = uvloop.run(load(port, message, requests, callers))
                rate[kind].append(requests / (time.perf_counter() - began_s))
                spent[kind].append((cpu_s(pid) - before_s) / requests * 1000)
                p50[kind].append(float(np.median(latencies)) * 1000)
    print(f"{'server':12}{'CPU ms/request':>16}{'x echo':>8}{'x bare':>8}{'p50 ms':>9}{'req/s':>8}")
    for kind in KINDS:
        mine, echo, bare = (min(spent[k]) for k in (kind, "echo", "bare"))
        print(
            f"{kind:12}{mine:16.3f}{mine / echo:8.2f}{mine / bare:8.2f}"
            f"{min(p50[kind]):9.2f}{max(rate[kind]):8.0f}"
        )


def throughput(model: str, requests: int, callers: int) -> None:
    """Images a second of the service against a bare loop over the same detector."""
    image = picture_of_60_kb()
    message = request(image, "r")
    detector = load_detector(model)
    detector.warm_up()
    data = np.frombuffer(message.image, np.uint8)
    began_s, began_cpu_s = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(requests):
        detector.detect([cv2.imdecode(data, cv2.IMREAD_COLOR)])
    loop_s = time.perf_counter() - began_s
    used = resource.getrusage(resource.RUSAGE_SELF)
    loop_cpu_s = used.ru_utime + used.ru_stime - began_cpu_s.ru_utime - began_cpu_s.ru_stime
    detector.close()
    with server("secondlook", model) as (pid, port):
        uvloop.run(load(port, message, 2, 1))
        before_s, began_s = cpu_s(pid), time.perf_counter()
        uvloop.run(load(port, message, requests, callers))
        service_s = time.perf_counter() - began_s
        service_cpu_s = cpu_s(pid) - before_s
    print(
        f"bare loop   {requests / loop_s:8.2f} images/s {loop_cpu_s / requests * 1e3:8.1f} ms CPU"
    )
    print(
        f"secondlook  {requests / service_s:8.2f} images/s "
        f"{service_cpu_s / requests * 1e3:8.1f} ms CPU"
    )
    print(f"ratio       {loop_s / service_s:8.2f} images/s {service_cpu_s / loop_cpu_s:8.2f} CPU")


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", help="ONNX detector for the images-a-second part")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--serve", choices=KINDS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        uvloop.run(serve(given.serve, given.model))
        return
    for name, image in (("a frame", picture_of_60_kb()), ("a thumbnail", picture(64, 48))):
        overhead(name, image, given.requests, given.callers, given.rounds)
    if given.model:
        throughput(given.model, given.images, given.callers)


if __name__ == "__main__":
    main()
