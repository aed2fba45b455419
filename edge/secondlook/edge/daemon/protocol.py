"""What the daemon needs of a capture."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Protocol

from typing_extensions import Self

from secondlook.edge.capture.captured import CapturedFrame
from secondlook.edge.settings import CameraSettings


class Capture(Protocol):
    """Frames of one camera, newest first where they come too fast.

    `secondlook.edge.capture.CameraCapture` is the real one.
    """

    async def __aenter__(self) -> Self:
        """Begin to capture."""
        ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Stop capturing."""
        ...

    def frames(self) -> AsyncIterator[CapturedFrame]:
        """The frames, until a recording ends.

        Raises:
            SecondlookError: the source failed for good.
        """
        ...


CaptureFactory = Callable[[CameraSettings], Capture]
"""A capture for a camera; raises `InvalidInput` where its URL can never work."""
