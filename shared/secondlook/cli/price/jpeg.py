"""Every frame to the cloud as a JPEG."""

from __future__ import annotations

import time

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.cli.price.asking import Asker
from secondlook.cli.price.ledger import FrameAnswer, Ledger
from secondlook.cli.price.scaled import Scaling
from secondlook.cli.price.system import Shot
from secondlook.shared.errors import InvalidInput
from secondlook.shared.measure import CountingProxy
from secondlook.shared.values import Escalation, ImageEncoding, Placement, Region


class CloudJpeg:
    """Sends each frame as one JPEG through the real `Escalate`, and says what comes back.

    Args:
        name: of the system.
        proxy: the way to the cloud, counted.
        asker: asks through that proxy.
        width_px: frames that are wider are sent at this width; ``None``: as they are.
        quality: JPEG quality, 1 to 100.
        min_score: boxes below are not wanted.
    """

    def __init__(
        self,
        name: str,
        proxy: CountingProxy,
        asker: Asker,
        *,
        width_px: int | None,
        quality: int,
        min_score: float,
    ) -> None:
        self.ledger = Ledger(name)
        self._width_px = width_px
        self._proxy = proxy
        self._asker = asker
        self._quality = quality
        self._min_score = min_score

    async def see(self, shot: Shot) -> None:
        """See `System.see`."""
        started = time.perf_counter()
        verdict = await self._asker.ask(
            whole_frame_question(shot, self._width_px, self._quality, self._min_score)
        )
        self.ledger.escalations += 1
        self.ledger.inferences += 1
        self.ledger.answers.append(
            FrameAnswer.once(verdict.detections, time.perf_counter() - started)
        )
        self.ledger.passed(self._proxy.traffic)

    async def finish(self) -> None:
        """See `System.finish`."""
        self.ledger.settle(self._proxy.traffic)


def whole_frame_question(
    shot: Shot, width_px: int | None, quality: int, min_score: float, camera: str = "cloud-jpeg"
) -> Escalation:
    """A frame as one JPEG.

    Args:
        shot: the frame.
        width_px: width that is sent, where the frame is wider; ``None``: as it is.
        quality: JPEG quality, 1 to 100.
        min_score: boxes below are not wanted.
        camera: id under which it is asked.
    """
    ref = shot.frame.ref
    scaling = Scaling.of(ref.width, ref.height, width_px)
    whole = Region(0, 0, ref.width, ref.height)
    return Escalation(
        request_id=f"jpeg-{shot.index}",
        camera=camera,
        sequence=ref.sequence,
        captured_at=ref.captured_at,
        frame_width=ref.width,
        frame_height=ref.height,
        image=encode_jpeg(scaling.down(shot.frame.image), quality),
        encoding=ImageEncoding.JPEG,
        placements=(Placement(whole, 0, 0, scaling.frame.width, scaling.frame.height),),
        min_score=min_score,
    )


def encode_jpeg(image: npt.NDArray[np.uint8], quality: int) -> bytes:
    """A JPEG of ``image`` (uint8 (h, w, 3) BGR).

    Raises:
        InvalidInput: OpenCV cannot encode it.
    """
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise InvalidInput(f"an image of shape {image.shape} cannot be encoded as JPEG")
    return data.tobytes()
