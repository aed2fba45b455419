"""The parts of a run: servers take turns, so that a busy machine is fair to all of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import anyio.to_thread
import grpc.aio
import psutil

from secondlook.cli.bench.serve import h2load
from secondlook.cli.bench.serve.callers import Ask, Turn, stream_callers, turn, unary_callers
from secondlook.cli.bench.serve.jobs import FILES, Job, first_picture, largest, picture, tiny
from secondlook.cli.bench.serve.processes import Server, bare_server, local_loop, our_server
from secondlook.cli.bench.serve.rows import Key, Row
from secondlook.shared.errors import Unavailable
from secondlook.shared.zoo import model_file

OURS, BARE, LOOP, TWO = "secondlook", "bare", "loop", "secondlook x2"
UNARY, STREAM = "unary", "stream"
WARM_UP_S = 0.2
WITHOUT_H2LOAD = (
    f"callers in Python, which take a core themselves; with Debian's {h2load.PACKAGE} installed, "
    f"{h2load.PROGRAM} asks"
)

Callers = Callable[[int, bytes, int], AbstractAsyncContextManager[Sequence[Ask]]]
Contender = Callable[[], Awaitable[Turn]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and how long.

    Attributes:
        model: ONNX file of the detector, or ``zoo:NAME``.
        clip: where its picture comes from.
        callers: how many ask at once, in turn.
        seconds: of each turn.
        rounds: turns of each contender in each part.
    """

    model: str
    clip: str
    callers: tuple[int, ...]
    seconds: float
    rounds: int


@dataclass(slots=True)
class Found:
    """What was measured.

    Attributes:
        picture_bytes: size of the JPEG.
        model: file name of the detector.
        rows: by what they are of.
        asked_by: who asked the servers that share a port.
    """

    picture_bytes: int
    model: str
    rows: dict[Key, Row] = field(default_factory=dict)
    asked_by: str = ""


def measure(plan: Plan, told: Callable[[str], None]) -> Found:
    """Run all parts. Blocking.

    Args:
        plan: what to measure.
        told: hears what is being measured.

    Raises:
        InvalidModel, InvalidInput: there is no such model or picture.
        Unavailable: a server did not start, or answered a request with an error.
    """
    jpeg = first_picture(plan.clip)
    model = model_file(plan.model)
    found = Found(len(jpeg), model.name)
    found.asked_by = h2load.PROGRAM if h2load.installed() else WITHOUT_H2LOAD
    with TemporaryDirectory(prefix="sl-bench-") as name:
        file = Path(name) / "picture.jpg"
        file.write_bytes(jpeg)
        with ExitStack() as stack:
            told("starting the servers")
            bare = stack.enter_context(bare_server(FILES, model))
            ours = stack.enter_context(our_server(FILES, model))
            for job in (tiny(), largest()):
                _run(_jobs, job, bare, ours, plan, found, told)
            loop = stack.enter_context(local_loop(model, file))
            _run(_pictures, picture(jpeg), bare, ours, loop, plan, found, told)
        with ExitStack() as stack:
            one = stack.enter_context(our_server(FILES, None))
            two = stack.enter_context(our_server(FILES, None, processes=2))
            _run(_shared, tiny(), one, two, plan, found, told)
    return found


def _run(part: Callable[..., Awaitable[None]], *arguments: object) -> None:
    # As the service itself is run.
    uvloop = find_spec("uvloop") is not None
    anyio.run(part, *arguments, backend_options={"use_uvloop": uvloop})


async def _jobs(
    job: Job, bare: Server, ours: Server, plan: Plan, found: Found, told: Callable[[str], None]
) -> None:
    for callers in plan.callers:
        told(f"{job.name}, {callers} at once")
        contenders = {
            Key(job.name, BARE, UNARY, callers): _asking(
                bare, job, callers, unary_callers, plan.seconds
            ),
            Key(job.name, OURS, UNARY, callers): _asking(
                ours, job, callers, unary_callers, plan.seconds
            ),
            Key(job.name, OURS, STREAM, callers): _asking(
                ours, job, callers, stream_callers, plan.seconds
            ),
        }
        await _rounds(contenders, plan.rounds, found)


async def _pictures(
    job: Job,
    bare: Server,
    ours: Server,
    loop: subprocess.Popen[bytes],
    plan: Plan,
    found: Found,
    told: Callable[[str], None],
) -> None:
    for callers in plan.callers:
        told(f"{job.name}, {callers} at once")
        contenders: dict[Key, Contender] = {
            Key(job.name, LOOP, "", callers): partial(_looping, loop, plan.seconds),
            Key(job.name, BARE, UNARY, callers): _asking(
                bare, job, callers, unary_callers, plan.seconds
            ),
            Key(job.name, OURS, UNARY, callers): _asking(
                ours, job, callers, unary_callers, plan.seconds
            ),
        }
        await _rounds(contenders, plan.rounds, found)


async def _shared(
    job: Job, one: Server, two: Server, plan: Plan, found: Found, told: Callable[[str], None]
) -> None:
    callers = max(plan.callers)
    told(f"{job.name}, {callers} at once, two processes")
    asking = _loading if found.asked_by == h2load.PROGRAM else partial(_asking, way=unary_callers)
    contenders = {
        Key(f"{job.name}, one port", name, UNARY, callers): asking(
            server, job, callers, seconds=plan.seconds
        )
        for name, server in ((OURS, one), (TWO, two))
    }
    await _rounds(contenders, plan.rounds, found)


async def _rounds(contenders: Mapping[Key, Contender], rounds: int, found: Found) -> None:
    for key in contenders:
        found.rows[key] = Row()
    for _ in range(rounds):
        for key, contender in contenders.items():
            found.rows[key].turns.append(await contender())


def _loading(server: Server, job: Job, callers: int, seconds: float) -> Contender:
    async def ask() -> Turn:
        async with _told(), unary_callers(server.port, job.request, 1) as (once,):
            answer = await once()
        run = partial(h2load.load, server.port, job.request, len(answer), callers)
        await anyio.to_thread.run_sync(run, min(WARM_UP_S, seconds), server.spent_s)
        return await anyio.to_thread.run_sync(run, seconds, server.spent_s)

    return ask


def _asking(server: Server, job: Job, callers: int, way: Callers, seconds: float) -> Contender:
    async def ask() -> Turn:
        async with _told(), way(server.port, job.request, callers) as asks:
            await turn(asks, min(WARM_UP_S, seconds), server.spent_s)
            return await turn(asks, seconds, server.spent_s)

    return ask


@asynccontextmanager
async def _told() -> AsyncIterator[None]:
    """Errors of gRPC as ours."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise Unavailable(f"{error.code().name}: {error.details()}") from None


async def _looping(loop: subprocess.Popen[bytes], seconds: float) -> Turn:
    """A turn of the loop that serves nobody."""

    def run() -> Turn:
        process = psutil.Process(loop.pid)
        assert loop.stdin is not None
        assert loop.stdout is not None
        before = process.cpu_times()
        loop.stdin.write(f"{seconds}\n".encode())
        loop.stdin.flush()
        line = loop.stdout.readline()
        if not line:
            raise Unavailable("the local loop has ended")
        after = process.cpu_times()
        took: list[float] = json.loads(line)
        spent_s = after.user + after.system - before.user - before.system
        return Turn(took, sum(took), spent_s, (spent_s,))

    return await anyio.to_thread.run_sync(run)
