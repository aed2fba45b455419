"""Every frame to the cloud as a JPEG."""

from __future__ import annotations

import time

import cv2
import numpy as np
import numpy.typing as npt

from secondlook.cli.price.asking import Asker
from secondlook.cli.price.ledger import FrameAnswer, Ledger
from secondlook.cli.price.system import Shot
from secondlook.shared.errors import InvalidInput
from secondlook.shared.measure import CountingProxy
from secondlook.shared.values import Escalation, ImageEncoding, Placement, Region


class CloudJpeg:
    """Sends each native frame as one JPEG through the real `Escalate`, and says what comes back.

    Args:
        proxy: the way to the cloud, counted.
        asker: asks through that proxy.
        quality: JPEG quality, 1 to 100.
        min_score: boxes below are not wanted.
    """

    def __init__(
        self, proxy: CountingProxy, asker: Asker, *, quality: int, min_score: float
    ) -> None:
        self.ledger = Ledger("cloud_jpeg")
        self._proxy = proxy
        self._asker = asker
        self._quality = quality
        self._min_score = min_score

    async def see(self, shot: Shot) -> None:
        """See `System.see`."""
        started = time.perf_counter()
        ref = shot.frame.ref
        whole = Region(0, 0, ref.width, ref.height)
        verdict = await self._asker.ask(
            Escalation(
                request_id=f"jpeg-{shot.index}",
                camera="cloud-jpeg",
                sequence=ref.sequence,
                captured_at=ref.captured_at,
                frame_width=ref.width,
                frame_height=ref.height,
                image=encode_jpeg(shot.frame.image, self._quality),
                encoding=ImageEncoding.JPEG,
                placements=(Placement(whole, 0, 0, ref.width, ref.height),),
                min_score=self._min_score,
            )
        )
        self.ledger.escalations += 1
        self.ledger.inferences += 1
        self.ledger.answers.append(
            FrameAnswer.once(verdict.detections, time.perf_counter() - started)
        )

    async def finish(self) -> None:
        """See `System.finish`."""
        self.ledger.traffic = self._proxy.traffic


def encode_jpeg(image: npt.NDArray[np.uint8], quality: int) -> bytes:
    """A JPEG of ``image`` (uint8 (h, w, 3) BGR).

    Raises:
        InvalidInput: OpenCV cannot encode it.
    """
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise InvalidInput(f"an image of shape {image.shape} cannot be encoded as JPEG")
    return data.tobytes()
