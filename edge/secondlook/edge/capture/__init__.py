"""From a camera URL to frames: decoding in a process of its own, reconnecting, latest wins.

`camera.CameraCapture` for the daemon, `clip.read_clip` for tools, `settings.CaptureSettings`.
Nothing is imported here: a capture process imports this package too, and starts lighter so.
"""
