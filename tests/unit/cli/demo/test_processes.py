"""Tiers as processes: ready, heard, ended for certain."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from support.networks import write_bright_spot_model

from secondlook.cli.demo.processes import running
from secondlook.shared.errors import Unavailable

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bright_spot_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


def cloud(model: Path) -> list[str]:
    """A cloud on free ports that leaves nothing behind."""
    free = ["--port", "0", "--metrics-port", "0", "--memory", "sqlite:///:memory:"]
    return ["cloud", "serve", "--model", str(model), *free]


async def test_a_tier_is_ready_on_entry_and_gone_on_leaving(model: Path, tmp_path: Path) -> None:
    async with running(cloud(model), tmp_path) as tier:
        assert tier.ready["pid"] == tier.process.pid
        async with await anyio.connect_tcp("127.0.0.1", tier.ready["port"]):
            pass
    assert tier.process.returncode == 0


async def test_a_tier_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"cloud serve ended with code 2: .*gone\.onnx"):
        async with running(cloud(tmp_path / "gone.onnx"), tmp_path):
            pass


async def test_an_error_of_the_block_ends_the_tier_too(model: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        async with running(cloud(model), tmp_path) as tier:
            raise KeyError
    assert tier.process.returncode is not None
