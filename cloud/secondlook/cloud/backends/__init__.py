"""What runs networks: ONNX Runtime, torch, ultralytics, and other inference servers.

`open_backend` is the one way in.
"""

from secondlook.cloud.backends.opening import open_backend

__all__ = ["open_backend"]
