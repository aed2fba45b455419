"""A port is kept for those who share it, and for nobody else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from secondlook.cloud.address import reserved, why_not
from secondlook.shared.errors import InvalidConfig, Unavailable

HERE = "127.0.0.1"


def listener(port: int, *options: int) -> socket.socket:
    with ExitStack() as undo:
        listening = undo.enter_context(socket.socket())
        for option in options:
            listening.setsockopt(socket.SOL_SOCKET, option, 1)
        listening.bind((HERE, port))
        listening.listen()
        undo.pop_all()
    return listening


@pytest.fixture
def shared_listener() -> Iterator[int]:
    """The port of somebody else who would share it."""
    with closing(listener(0, socket.SO_REUSEADDR, socket.SO_REUSEPORT)) as listening:
        yield listening.getsockname()[1]


def test_those_who_share_it_may_listen_and_nobody_else() -> None:
    with reserved(HERE, 0, shared=False) as port:
        assert port > 0
        with pytest.raises(OSError, match="in use"):
            listener(port)
        both = (socket.SO_REUSEADDR, socket.SO_REUSEPORT)
        with closing(listener(port, *both)), closing(listener(port, *both)):
            # What is reserved does not listen: all connections go to those who do.
            for _ in range(8):
                socket.create_connection((HERE, port), 5).close()
    with closing(listener(port)):
        pass


def test_a_port_where_others_listen_is_refused_though_they_would_share(
    shared_listener: int,
) -> None:
    with (
        pytest.raises(Unavailable, match="in use"),
        reserved(HERE, shared_listener, shared=False),
    ):
        pass
    with reserved(HERE, shared_listener, shared=True) as port:
        assert port == shared_listener


def test_an_address_that_is_not_here_is_a_matter_of_settings() -> None:
    with (
        pytest.raises(InvalidConfig, match=r"192\.0\.2\.1"),
        reserved("192.0.2.1", 0, shared=True),
    ):
        pass
    assert isinstance(why_not("192.0.2.1", 0), InvalidConfig)
