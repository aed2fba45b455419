"""From a camera URL to frames: decoding in a process of its own, reconnecting, latest wins."""
