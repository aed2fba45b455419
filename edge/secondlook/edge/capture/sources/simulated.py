"""``sim://street``: the simulated camera, with what is really there."""

from __future__ import annotations

from secondlook.edge.capture.address import SourceAddress
from secondlook.edge.capture.protocol import SourceFrame, SourceInfo
from secondlook.shared.sim import StreetCamera, StreetConfig


class SimSource:
    """Draws frames; a frame that is skipped is never drawn."""

    def __init__(self, address: SourceAddress) -> None:
        self._config = StreetConfig.from_url(address.url)
        self._camera: StreetCamera | None = None
        self._index = -1

    def open(self) -> SourceInfo:
        """See `FrameSource.open`."""
        config = self._config
        self._camera = StreetCamera(config)
        return SourceInfo(
            config.width, config.height, config.fps, config.frames, live=False, backend="sim"
        )

    def grab(self) -> float | None:
        """See `FrameSource.grab`."""
        if self._config.frames is not None and self._index + 1 >= self._config.frames:
            return None
        self._index += 1
        return self._index / self._config.fps

    def retrieve(self) -> SourceFrame:
        """See `FrameSource.retrieve`."""
        assert self._camera is not None, "open comes first"
        drawn = self._camera.draw(self._index)
        return SourceFrame(drawn.image, drawn.truth, drawn.ignore)

    def close(self) -> None:
        """See `FrameSource.close`."""
        self._camera = None
