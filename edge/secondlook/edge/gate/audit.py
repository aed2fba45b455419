"""The coin that chooses audits: by number, never by content, and the same in every replay."""

from __future__ import annotations

import hashlib


def coin(seed: int, camera: str, sequence: int) -> float:
    """A number in [0, 1) that is uniform over frames and fixed for each."""
    digest = hashlib.blake2b(f"{seed}/{camera}/{sequence}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
