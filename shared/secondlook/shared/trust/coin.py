"""The coin that chooses audits: by number, never by content, and the same in every replay."""

from __future__ import annotations

import hashlib

from secondlook.shared.errors import InvalidInput


class AuditCoin:
    """A coin of one camera. Frozen once made.

    Args:
        seed: of the coin, logged with each audit; without it no audit could be checked.
        camera: id of the camera.

    Raises:
        InvalidInput: there is no seed, or it is no whole number from 0 on.
    """

    def __init__(self, seed: int | None, camera: str) -> None:
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise InvalidInput(
                f"the seed of the audit coin is {seed!r}; a whole number from 0 on expected",
                remedy="audits that cannot be replayed prove nothing: set a seed",
            )
        self._prefix = f"{seed}/{camera}/"

    def throw(self, sequence: int) -> float:
        """A number in [0, 1), uniform over frames and fixed for each."""
        digest = hashlib.blake2b(f"{self._prefix}{sequence}".encode(), digest_size=8).digest()
        return (int.from_bytes(digest, "big") >> 11) / 2**53

    def audits(self, sequence: int, probability: float) -> bool:
        """Whether the frame is audited.

        Raises:
            InvalidInput: the probability is not from 0 to 1.
        """
        if not 0 <= probability <= 1:
            raise InvalidInput(f"audit probability is {probability!r}; from 0 to 1 expected")
        return self.throw(sequence) < probability
