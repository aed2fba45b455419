from __future__ import annotations

import sys

import anyio
import pytest

from secondlook.shared.background import background_tasks
from secondlook.shared.errors import NotFound

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

pytestmark = pytest.mark.anyio


async def test_tasks_end_with_the_block() -> None:
    ended = anyio.Event()

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with background_tasks() as tasks:
        tasks.start_soon(work)
        await anyio.wait_all_tasks_blocked()
        assert not ended.is_set()
    assert ended.is_set()


async def test_an_error_of_the_block_stays_what_it_is() -> None:
    async def ask() -> None:
        async with background_tasks() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            await anyio.wait_all_tasks_blocked()
            raise NotFound("nothing")

    with pytest.raises(NotFound, match="nothing"):
        await ask()


async def test_an_error_of_a_task_ends_the_block() -> None:
    async def fail() -> None:
        raise NotFound("a task")

    async def wait() -> None:
        async with background_tasks() as tasks:
            tasks.start_soon(fail)
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await wait()
    assert [str(error) for error in caught.value.exceptions] == ["a task"]
