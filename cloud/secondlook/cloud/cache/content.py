"""What makes two questions the same."""

from __future__ import annotations

import hashlib
import struct

import numpy as np

from secondlook.shared.detect.protocol import Image

DIGEST_BYTES = 32
INLINE_BYTES = 32 * 1024
"""A picture up to this size is digested on the event loop: a thread would cost more."""


def content_of(image: Image, min_score: float) -> bytes:
    """The digest of a question: of each pixel that the network sees, the size, and the score.

    The pixels are those after decoding and composing: the regions with what lies around them, in
    their places. So a region is the same question only where its surroundings are the same, which
    is what the network's answer depends on; and whichever codec carried it. Nothing near-equal is
    taken for equal: a box may appear at the change of one pixel, and an audit that was answered
    from a look-alike would measure the cache, not the edge.

    SHA-256 because nobody shall be able to find two pictures of one digest; it is also the fastest
    of hashlib where the processor has instructions for it.

    Args:
        image: uint8 (h, w, 3) BGR; not written to.
        min_score: boxes below are not wanted.
    """
    digest = hashlib.sha256(struct.pack("<IId", image.shape[0], image.shape[1], min_score))
    digest.update(np.ascontiguousarray(image).data)
    return digest.digest()
