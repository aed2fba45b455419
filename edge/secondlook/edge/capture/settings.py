"""How one camera is captured: rate, pacing, what happens when it stops."""

from __future__ import annotations

from enum import Enum

from pydantic import Field, model_validator

from secondlook.shared.settings import Section


class Pacing(str, Enum):
    """At what speed a recording is played; a live stream always sets its own."""

    REALTIME = "realtime"
    """At its own frame rate, like a camera."""

    ASAP = "asap"
    """As fast as it is consumed, without loss."""


class Overflow(str, Enum):
    """What happens to frames that nobody has taken yet when the next one is ready."""

    DROP_OLDEST = "drop_oldest"
    """The newest frame wins; every frame dropped is counted."""

    BLOCK = "block"
    """The decoder waits. A live camera then lags, and at last drops the connection."""


class RtspTransport(str, Enum):
    """What carries RTP."""

    TCP = "tcp"
    UDP = "udp"


class CaptureSettings(Section):
    """How one camera is captured."""

    analysis_fps: float = Field(
        0.0,
        ge=0,
        le=240,
        description="Frames a second of media time that are analysed; 0 takes every frame.",
    )
    pacing: Pacing = Field(
        Pacing.REALTIME,
        description="Speed of files, image folders and sim://: realtime, or asap without loss.",
    )
    speed: float = Field(
        1.0,
        gt=0,
        le=100,
        description="Factor on the speed of a recording played in real time.",
    )
    overflow: Overflow | None = Field(
        None,
        description="When frames come faster than they are taken; unset: block for a recording "
        "played asap, drop_oldest for all else.",
    )
    loop: bool = Field(False, description="Start a recording again when it ends.")
    fps: float = Field(
        0.0,
        ge=0,
        le=240,
        description="Frames a second of an image folder, or of a file whose header lies; 0 trusts "
        "the header (10 for a folder).",
    )
    open_timeout_s: float = Field(10.0, ge=0.1, le=300, description="Seconds to connect or open.")
    stall_timeout_s: float = Field(
        10.0,
        ge=0.1,
        le=600,
        description="Seconds without a frame after which a stream counts as stalled.",
    )
    backoff_initial_s: float = Field(
        0.5, ge=0.01, le=60, description="Seconds before the first reconnect; doubles each time."
    )
    backoff_max_s: float = Field(
        30.0, ge=0.01, le=3600, description="Most seconds between two reconnects."
    )
    max_crashes: int = Field(
        3,
        ge=1,
        le=100,
        description="Times a recording may crash its decoder at one place before it is given up.",
    )
    slots: int = Field(
        6,
        ge=4,
        le=64,
        description="Frames of shared memory between decoder and agent; two are the decoder's.",
    )
    decode_threads: int = Field(
        1, ge=0, le=16, description="Threads of the video decoder; 0 lets it choose."
    )
    rtsp_transport: RtspTransport = Field(
        RtspTransport.TCP, description="What carries RTP: tcp loses nothing, udp lags less."
    )

    @model_validator(mode="after")
    def _backoff_grows(self) -> CaptureSettings:
        if self.backoff_max_s < self.backoff_initial_s:
            raise ValueError("backoff_max_s must be at least backoff_initial_s")
        return self
