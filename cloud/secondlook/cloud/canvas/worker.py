"""A decoding process: ``python -m secondlook.cloud.canvas.worker DESCRIPTOR``.

Holds the decoders of several canvases. A unit that makes FFmpeg crash takes this process down and
no more; when the service ends, its end of the socket closes and this process ends by itself.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import sys

from secondlook.cloud.canvas import messages
from secondlook.cloud.canvas.decoder import CanvasDecoder
from secondlook.shared.errors import InvalidInput, StateLost

MEMORY_BYTES = 2 * 1024**3
"""Address space of the process: about four times what 256 canvases of 640 x 640 pixels take."""


def serve(peer: socket.socket) -> None:
    """Decode what is asked for until the service ends.

    Raises:
        PeerGone: it has ended.
    """
    decoders: dict[int, CanvasDecoder] = {}
    while True:
        kind, canvas, update, unit = messages.read_order(peer)
        if update is None:
            if kind == messages.FORGET:
                decoders.pop(canvas, None)
            continue
        try:
            if canvas not in decoders:
                decoders[canvas] = CanvasDecoder()
            picture = decoders[canvas].decode(update, unit)
        except (StateLost, InvalidInput) as error:
            # A canvas without state takes no memory until its next key frame.
            decoders.pop(canvas, None)
            text = str(error).encode()[: messages.MAX_TEXT_BYTES]
            told = messages.LOST if isinstance(error, StateLost) else messages.INVALID
            peer.sendall(messages.reply(told, len(text)) + text)
        else:
            peer.sendall(messages.reply(messages.PICTURE, picture.nbytes))
            peer.sendall(picture.data)


def main(descriptor: int) -> None:
    """Serve the socket with that number."""
    # The service ends this process; the terminal's ^C is for the service.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    with (
        socket.socket(fileno=descriptor) as peer,
        contextlib.suppress(messages.PeerGone, ConnectionError),
    ):
        serve(peer)


if __name__ == "__main__":
    main(int(sys.argv[1]))
