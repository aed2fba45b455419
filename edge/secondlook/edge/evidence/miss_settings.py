"""Settings of the signs that the light model has missed an object."""

from __future__ import annotations

from pydantic import Field

from secondlook.shared.settings import Section


class MissSettings(Section):
    """``[misses]``: where the light model may have missed an object, and what asking may be worth.

    A loss of 0 switches a sign off. On a motorway and a conveyor, at 10 frames a second, verdicts
    found an object at 2 of 20 blobs and at 1 of 29 coasting tracks: so the defaults ask about
    blobs, and about coasting tracks beside other questions only.
    """

    blob_loss: float = Field(
        0.15,
        ge=0,
        le=1,
        description="Expected loss at something that moves and that no box covers; 0: not looked "
        "for.",
    )
    blob_area: float = Field(
        0.001, gt=0, le=1, description="Least size of such a thing, as a share of the frame."
    )
    blob_frames: int = Field(
        3, ge=1, le=1000, description="Frames in a row in which it must be seen."
    )
    blob_levels: float = Field(
        16.0, gt=0, le=255, description="Grey levels by which it must differ from the background."
    )
    background_s: float = Field(
        20.0, gt=0, le=3600, description="After about this long what stays is background, seconds."
    )
    coasting_loss: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Expected loss at a track that was seen at score 1 and has just lost its box; "
        "it falls with the score and the frames since; 0: not looked at.",
    )
    coasting_frames: int = Field(
        30, ge=1, le=10_000, description="Frames without a box after which a track says nothing."
    )
    prior_loss: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Expected loss at a place that always holds an object and seems empty; 0: not "
        "looked at.",
    )
    prior_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of frames with an object from which a place counts as taken.",
    )
    view_loss: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Expected loss of a frame that is black or wholly blurred; 0: not looked at.",
    )
    view_gain: float = Field(
        0.5,
        ge=0,
        le=10,
        description="By what share such a frame raises the loss of boxes that are not published.",
    )
    dark_level: float = Field(
        40.0, ge=0, le=255, description="Mean grey level below which a frame begins to be dark."
    )
    blur_share: float = Field(
        0.6,
        ge=0,
        le=1,
        description="Share of its usual sharpness below which a picture begins to be blurred.",
    )
    quiet_s: float = Field(
        30.0,
        gt=0,
        le=86_400,
        description="For how long a sign is not believed after a verdict that found nothing there, "
        "seconds; doubles each time.",
    )
    quiet_max_s: float = Field(
        1800.0,
        gt=0,
        le=604_800,
        description="Longest such time; so long too while the place looks the same, seconds.",
    )
    again_s: float = Field(
        1.0,
        ge=0,
        le=3600,
        description="Least time between two questions about one sign where a verdict found an "
        "object, seconds.",
    )
    max_places: int = Field(
        8, ge=1, le=64, description="Most such places of one frame, the largest loss first."
    )
