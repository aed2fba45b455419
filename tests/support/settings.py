"""Settings of no tier, for tests of the loader and of `secondlook config`."""

from __future__ import annotations

from pydantic import Field

from secondlook.shared.settings import Section


class SampleCamera(Section):
    """A camera."""

    name: str = Field(description="Name of the camera.", min_length=1)
    url: str = Field(description="Where its stream is.")
    fps: float = Field(5.0, gt=0, le=60, description="Analysed frames a second.")


class SampleUplink(Section):
    """The way up."""

    target: str = Field("dns:///localhost:50051", description="Address of the cloud.")
    timeout_s: float = Field(5.0, gt=0, description="Longest wait for a verdict, seconds.")
    retries: int = Field(3, ge=0, le=10, description="Tries after the first.")
    note: str | None = Field(None, description="Free text.")


class SampleStore(Section):
    """A store."""

    url: str = Field("sqlite:memory.db", description="Where the store is.")
    password: str = Field("", description="Its password.")
    labels: dict[str, int] = Field(default_factory=dict, description="Free labels.")


class SampleSettings(Section):
    """Everything."""

    cameras: tuple[SampleCamera, ...] = Field((), description="The cameras.")
    uplink: SampleUplink = Field(SampleUplink(), description="The way up.")
    store: SampleStore | None = Field(SampleStore(), description="The store.")


SAMPLE = """\
[[cameras]]
name = "gate"
url = "rtsp://viewer:hunter2@camera/1"

[[cameras]]
name = "yard"
url = "sim://street?seed=4"
fps = 2

[uplink]
target = "dns:///cloud:50051"

[store]
url = "redis://:hunter2@redis/0"
password = "hunter2"
labels = { "a b" = 1, c = 2 }
"""
