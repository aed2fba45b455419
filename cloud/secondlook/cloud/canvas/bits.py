"""Bits of a header that was not written here."""

from __future__ import annotations

from secondlook.shared.errors import InvalidInput


class Bits:
    """Bits of a header, first to last.

    Args:
        data: its bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> int:
        """The next bits as a number.

        Raises:
            InvalidInput: there are not so many.
        """
        value = 0
        for _ in range(count):
            byte, bit = divmod(self._at, 8)
            if byte >= len(self._data):
                raise InvalidInput("unit is cut short in its header")
            value = value << 1 | self._data[byte] >> (7 - bit) & 1
            self._at += 1
        return value

    def golomb(self) -> int:
        """The next Exp-Golomb number.

        Raises:
            InvalidInput: there is none.
        """
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 31:
                raise InvalidInput("unit has a broken header")
        return (1 << zeros) - 1 + self.take(zeros)
