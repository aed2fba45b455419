"""What the supervisor and a process say to each other arrives as it was said."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest

from secondlook.cloud.processes.link import (
    Failed,
    Serving,
    read_settings,
    report_of,
    send_report,
    send_settings,
    until_over,
)
from secondlook.cloud.settings import CloudSettings
from secondlook.shared.errors import InvalidModel


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_settings_arrive_whole(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    settings = CloudSettings.model_validate(
        {
            "server": {"processes": 2, "port": 7},
            "repository": {"paths": ["a", "/b c"]},
            "memory": {"url": "redis://:p%40ss@localhost"},
        }
    )
    send_settings(ours, settings)
    assert read_settings(theirs) == settings


def test_a_supervisor_that_is_gone_says_nothing(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.close()
    with pytest.raises(EOFError):
        read_settings(theirs)


@pytest.mark.anyio
async def test_a_report_arrives_as_it_was(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    await anyio.to_thread.run_sync(send_report, theirs, Serving(9))
    assert await report_of(ours) == Serving(9)


@pytest.mark.anyio
async def test_an_error_is_the_same_error(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    failed = Failed(InvalidModel("no head", remedy="another file"))
    await anyio.to_thread.run_sync(send_report, theirs, failed)
    report = await report_of(ours)
    assert isinstance(report, Failed)
    assert isinstance(report.error, InvalidModel)
    assert str(report.error) == "no head (another file)"


@pytest.mark.anyio
@pytest.mark.parametrize("said", [b"", b"\x80", b"nonsense"])
async def test_one_that_ends_or_babbles_says_nothing(
    pair: tuple[socket.socket, socket.socket], said: bytes
) -> None:
    ours, theirs = pair
    theirs.sendall(said)
    theirs.close()
    assert await report_of(ours) is None


@pytest.mark.anyio
@pytest.mark.parametrize("how", [socket.SHUT_WR, None])
async def test_it_is_over_when_the_supervisor_says_so_or_is_gone(
    pair: tuple[socket.socket, socket.socket], how: int | None
) -> None:
    ours, theirs = pair
    with anyio.move_on_after(0):
        await until_over(theirs)
        pytest.fail("nobody said so")
    if how is None:
        ours.close()
    else:
        ours.shutdown(how)
    await until_over(theirs)
