"""Fixtures of the whole suite."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import grpc.aio
import pytest
import structlog
from blockbuster import BlockBuster, blockbuster_ctx
from hypothesis import HealthCheck, settings

# A namespace over several roots: blockbuster follows only the first root of a bare "secondlook".
OURS = ["secondlook.cloud", "secondlook.edge", "secondlook.shared", "secondlook.cli"]
MATERIAL = Path(__file__).resolve().parents[2] / "shared"

# At exit a thread of Ray Serve would start a cluster of its own, and fail the whole run with it.
# Ray reads this when it is imported, which some modules do to see whether it is there.
os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"

# Tests never judge time: a busy machine is no fault of the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_configure() -> None:
    """Let Ctrl-C reach the commands that tests start, also where this run itself ignores it.

    A shell starts its background jobs with SIGINT ignored, and children inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, visibly, what needs the real models and clips where they are absent."""
    if (MATERIAL / "MATERIAL.md").is_file():
        return
    skip = pytest.mark.skip(reason="real models and clips are not beside the checkout")
    for item in items:
        if item.get_closest_marker("real_material"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def material() -> Path:
    """The folder with the real ``models`` and ``clips``; for tests marked ``real_material``."""
    return MATERIAL


@pytest.fixture
def anyio_backend() -> str:
    """grpc.aio runs on asyncio, and so does everything else."""
    return "asyncio"


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> Iterator[BlockBuster]:
    """A blocking call on the event loop, made by our own code, fails the test."""
    with blockbuster_ctx(scanned_modules=OURS) as guard:
        yield guard


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No edge that a test starts remembers anything in the home of whoever runs the tests."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))
    os.environ.pop("STATE_DIRECTORY", None)


@pytest.fixture(autouse=True)
def _fresh_logging() -> Iterator[None]:
    """Logging set up by one test must not write to the streams of another."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session", autouse=True)
def _grpc_poller() -> Iterator[None]:
    """Keep gRPC's poller thread for the whole run.

    gRPC joins it when its last server or channel is collected, on the event loop and in the
    middle of some test, which the guard above would take for a blocking call of ours.
    """
    grpc.aio.init_grpc_aio()
    yield
    grpc.aio.shutdown_grpc_aio()
