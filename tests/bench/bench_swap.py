"""Hot swap: versions come on disk, evenly over a minute, while callers ask the real service.

Each version of the network says which one it is, so that an answer of another version than the one
that signs shows, and so does one that is older than an answer that came before the question. In the
middle comes a version that is no network. Printed: answers, failures, misled; latency while nothing
changes, and within half a second of a switch; what the process has grown by.

    python tests/bench/bench_swap.py [--seconds 60] [--swaps 20] [--callers 4]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import anyio
import grpc.aio
import numpy as np
from support.cloud import CloudProcess, channel_to, cloud_process
from support.versioned import WEIGHTS, publish

from secondlook.oip import inference_pb2 as pb
from secondlook.oip import inference_pb2_grpc

NEAR_S = 0.5


@dataclass
class Run:
    """What callers met.

    Attributes:
        began_s, took_s: of each answer.
        newest: the newest version that has answered.
        switches_s: when each version answered first.
        failed, misled: what went wrong.
    """

    began_s: list[float] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    newest: int = 0
    switches_s: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    misled: list[str] = field(default_factory=list)

    async def ask_for_ever(self, stub: Any, caller: int) -> None:
        value = 0
        while True:
            value = (value + 1) % 100
            tensor = np.full((1, 2), value, np.float32)
            request = pb.ModelInferRequest(
                model_name="adder",
                id=f"{caller}-{value}",
                inputs=[
                    pb.ModelInferRequest.InferInputTensor(
                        name="x", datatype="FP32", shape=tensor.shape
                    )
                ],
                raw_input_contents=[tensor.tobytes()],
            )
            known, began_s = self.newest, time.monotonic()
            try:
                reply = await stub.ModelInfer(request, timeout=10)
            except grpc.aio.AioRpcError as error:
                self.failed.append(f"{error.code().name}: {error.details()}")
                continue
            self.began_s.append(began_s)
            self.took_s.append(time.monotonic() - began_s)
            sums = np.frombuffer(reply.raw_output_contents[0], np.float32)
            signed = int(reply.model_version)
            if set(sums.tolist()) != {1000.0 * signed + value} or signed < known:
                self.misled.append(f"{signed} signed {sums}, {known} was known")
            if signed > self.newest:
                self.newest = signed
                self.switches_s.append(time.monotonic())


async def measure(
    cloud: CloudProcess, models: Path, seconds: float, swaps: int, callers: int
) -> None:
    run, grown = Run(), 0
    async with channel_to(cloud.port) as channel, anyio.create_task_group() as tasks:
        stub = inference_pb2_grpc.GRPCInferenceServiceStub(channel)
        for caller in range(callers):
            tasks.start_soon(run.ask_for_ever, stub, caller)
        await anyio.sleep(2)
        before, corrupt = resident_bytes(cloud), swaps // 2 + 2
        for version in range(2, swaps + 3):
            started_s = time.monotonic()
            content = b"no network" if version == corrupt else None
            await anyio.to_thread.run_sync(publish, models, "adder", version, content)
            await anyio.sleep(max(0.0, seconds / (swaps + 1) - (time.monotonic() - started_s)))
        grown = resident_bytes(cloud) - before
        tasks.cancel_scope.cancel()
    began, took = np.array(run.began_s), np.array(run.took_s)
    near = np.zeros(len(began), bool)
    for at_s in run.switches_s[1:]:
        near |= abs(began - at_s) < NEAR_S
    print(f"{len(took)} answers in {seconds:.0f} s, {callers} callers")
    print(f"{len(run.switches_s) - 1} switches, 1 corrupt version; newest answered: {run.newest}")
    print(f"failed {len(run.failed)}, misled {len(run.misled)}")
    for what, chosen in (("steady", took[~near]), (f"within {NEAR_S} s", took[near])):
        if len(chosen):
            p50, p99, most = (1000 * np.quantile(chosen, q) for q in (0.5, 0.99, 1.0))
            print(f"{what:>14}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, longest {most:.1f} ms")
    print(f"grown by {grown / 2**20:.0f} MiB; a version holds {4 * WEIGHTS / 2**20:.0f} MiB")
    for line in [*run.failed[:3], *run.misled[:3]]:
        print(line)


def resident_bytes(cloud: CloudProcess) -> int:
    return int(Path(f"/proc/{cloud.process.pid}/statm").read_text().split()[1]) * 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--callers", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        models = folder / "models"
        publish(models, "adder", 1)
        config = folder / "cloud.toml"
        config.write_text(
            f'[repository]\npaths = ["{models}"]\npoll_s = 0.25\n'
            '[memory]\nurl = "sqlite:///:memory:"\n'
        )
        with cloud_process(folder, "--port", "0", "--config", str(config)) as cloud:
            anyio.run(measure, cloud, models, given.seconds, given.swaps, given.callers)
            cloud.terminate()


if __name__ == "__main__":
    main()
