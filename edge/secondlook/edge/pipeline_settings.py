"""Settings of what happens to a frame between the detector and the sinks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from secondlook.edge.evidence.miss_settings import MissSettings
from secondlook.edge.selftest.settings import SelftestSettings
from secondlook.shared.settings import Section
from secondlook.shared.trust.settings import TrustSettings


class MotionSettings(Section):
    """``[motion]``: a still frame may reuse the last detections instead of running the detector."""

    enabled: bool = Field(False, description="Whether still frames skip the detector.")
    width_px: int = Field(
        160, ge=32, le=640, description="Width of the grey picture in which frames are compared."
    )
    changed_levels: float = Field(
        12.0, gt=0, le=255, description="Grey levels by which a pixel differs to count as changed."
    )
    changed_share: float = Field(
        0.0005, ge=0, le=1, description="Share of changed pixels below which a frame is still."
    )
    max_skip: int = Field(
        15, ge=1, le=1000, description="Frames in a row that may skip the detector."
    )


class TrackerSettings(Section):
    """``[tracker]``: which boxes of successive frames are the same object."""

    high_score: float = Field(
        0.5, gt=0, le=1, description="Boxes from this score on are associated first."
    )
    start_score: float = Field(
        0.1, ge=0, le=1, description="Weaker boxes only carry tracks on; they start none."
    )
    suppress_iou: float = Field(
        0.55, gt=0, le=1, description="Overlap above which the weaker of two boxes is dropped."
    )
    match_iou: float = Field(
        0.2, gt=0, lt=1, description="Least overlap of a box with a track's prediction."
    )
    reach: float = Field(
        0.6,
        ge=0,
        le=3,
        description=(
            "How far, in box sizes, boxes are grown in the last association, "
            "for objects that moved far between two frames."
        ),
    )
    confirm_hits: int = Field(
        2, ge=1, le=10, description="Frames in which a track is seen before it is confirmed."
    )
    coast_s: float = Field(
        1.5, ge=0, le=60, description="For how long a confirmed track lives on unseen, seconds."
    )
    max_boxes: int = Field(
        100, ge=1, le=1000, description="Most boxes of a frame that are looked at, the best first."
    )
    max_tracks: int = Field(500, ge=1, le=5000, description="Most tracks of one camera.")


class GateSettings(Section):
    """``[gate]``: what is asked."""

    file: str = Field(
        "",
        max_length=4096,
        description="Gate file that `secondlook calibrate` wrote; empty: the cold-start rule.",
    )
    threshold: float = Field(
        0.12,
        gt=0,
        le=1,
        description="Expected errors that a verdict must save for a box to be asked about.",
    )
    again_factor: float = Field(
        1.5, ge=1, le=100, description="Factor on the threshold for boxes that have a verdict."
    )
    again_s: float = Field(
        0.25, ge=0, le=3600, description="Least time between two verdicts on one box, seconds."
    )
    waiting_factor: float = Field(
        1.0,
        ge=1,
        le=1000,
        description="Factor on the threshold for boxes about which a question is under way: 1 asks "
        "about every frame, which is most accurate; a large one asks once, and waits.",
    )
    max_waiting: int = Field(
        4,
        ge=1,
        le=256,
        description="With so many questions of a camera under way, none is asked about what waits, "
        "see `waiting_factor`.",
    )
    ride_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of the threshold from which boxes are asked about beside others.",
    )
    learn: bool = Field(
        True,
        description="Whether audits correct the probabilities of the risk model, per camera, where "
        "they show that this is better.",
    )
    classes: tuple[str, ...] = Field(
        ("person", "bicycle", "car", "motorcycle", "bus", "truck", "bottle"),
        description="Class names that are worth a question; empty, or where the light model knows "
        "none of them: all.",
    )
    ttl_s: float = Field(
        5.0, gt=0, le=3600, description="How long a verdict stands for its place, seconds."
    )
    ttl_growth: float = Field(
        2.0, ge=1, le=10, description="Factor on that time each time a verdict is confirmed."
    )
    ttl_max_s: float = Field(
        40.0, gt=0, le=86_400, description="Longest time a verdict stands for its place, seconds."
    )
    background_every_s: float = Field(
        300.0, gt=0, le=86_400, description="A whole frame is sent at least this often, seconds."
    )
    max_regions: int = Field(
        32, ge=1, le=256, description="Most regions asked about in one frame, the unsurest first."
    )
    max_bytes: int = Field(
        200_000, ge=2_000, le=3_000_000, description="Largest picture sent for one frame, bytes."
    )


class RegionSettings(Section):
    """``[regions]``: how what is asked travels."""

    carrier: Literal["auto", "canvas", "mosaic"] = Field(
        "auto",
        description="`canvas`: updates of a video that the cloud keeps; `mosaic`: pictures of "
        "their own; `auto`: canvas where PyAV has an encoder for it.",
    )
    canonical_width_px: int = Field(
        640,
        ge=64,
        le=4096,
        description="Frames wider than this are sent at this width: what the heavy model takes.",
    )
    pad_share: float = Field(
        0.2, ge=0, le=2, description="Border around a box, as a share of its sides."
    )
    min_side_px: int = Field(
        48, ge=16, le=1024, description="Least side of a region, in canonical pixels."
    )
    grid_px: int = Field(
        16, ge=1, le=64, description="Regions start and end on this grid, in canonical pixels."
    )
    full_share: float = Field(
        0.6, gt=0, le=1, description="Share of the frame above which the whole frame is sent."
    )
    whole_factor: float = Field(
        1.5,
        ge=1,
        le=100,
        description="The whole frame is sent where it takes no more than this many times the bytes "
        "of the regions: it judges every object.",
    )
    encoding: Literal["webp", "jpeg"] = Field("webp", description="Codec of the picture sent.")
    quality: int = Field(85, ge=1, le=100, description="Quality of that codec.")
    full_quality: int = Field(
        85, ge=1, le=100, description="Quality of whole frames: audits and backgrounds."
    )


class CanvasSettings(Section):
    """``[canvas]``: how the canvas of a camera is encoded."""

    codec: Literal["auto", "av1", "h264"] = Field(
        "auto",
        description="How it is encoded. `auto`: AV1 from about 480 x 340 pixels on, where PyAV has "
        "SVT-AV1, which takes half to three quarters of the bytes; else H.264.",
    )
    quantiser: int = Field(
        24,
        ge=10,
        le=45,
        description="Quantiser where objects are 64 pixels large, on the scale of H.264: 6 more "
        "are about half of the bytes.",
    )
    key_quantiser: int = Field(
        24,
        ge=10,
        le=45,
        description="The same for key frames, on which everything later is laid.",
    )
    size_slope: float = Field(
        2.4,
        ge=0,
        le=12,
        description="What is added where objects are twice as large, and taken off where they are "
        "half as large.",
    )
    size_span: int = Field(
        4, ge=0, le=12, description="Most that is added or taken off for the size of objects."
    )
    effort: Literal["quick", "good", "best"] = Field(
        "best",
        description="How thoroughly the encoder looks. With H.264 `good` takes 5 to 9 % more bytes "
        "than `best` in two thirds of its time, `quick` about 17 % more in less than half.",
    )


class FusionSettings(Section):
    """``[fusion]``: what is published, and what verdicts change."""

    publish_probability: float = Field(
        0.45,
        gt=0,
        lt=1,
        description="Boxes are published from this probability on that the cloud says the same.",
    )
    verdict_score: float = Field(
        0.25, ge=0, le=1, description="Boxes of the cloud count from this score on."
    )
    weak_score: float = Field(
        0.2,
        ge=0,
        le=1,
        description="Where earlier verdicts found an object, a box of the cloud counts from this "
        "score on. `verdict_score` or more: no difference is made.",
    )
    match_iou: float = Field(
        0.3, gt=0, lt=1, description="Least overlap of the edge's box with the cloud's."
    )
    history_frames: int = Field(
        64, ge=1, le=10_000, description="Answered frames kept for revisions."
    )
    history_s: float = Field(
        20.0, gt=0, le=3600, description="How long answered frames are kept for revisions, seconds."
    )
    unseen_s: float = Field(
        2.0,
        ge=0,
        le=3600,
        description="How long after a verdict an object that the edge does not see stays "
        "published, seconds.",
    )
    look_back_s: float = Field(
        1.0,
        ge=0,
        le=60,
        description="How far back a verdict revises the answers before the frame it is about, "
        "seconds.",
    )
    same_levels: float = Field(
        5.0,
        gt=0,
        le=255,
        description="Mean difference in grey levels up to which a place looks unchanged.",
    )
    max_questions: int = Field(
        256, ge=1, le=10_000, description="Most questions that wait for a verdict at a time."
    )
    question_s: float = Field(
        15.0, gt=0, le=3600, description="After this long without a verdict a question is lost."
    )


class KnowledgeSettings(Section):
    """The part of ``[memory]`` that says what a camera's pipeline remembers."""

    settle_s: float = Field(
        2.0,
        ge=0,
        le=3600,
        description="A verdict is remembered where its object is still in place after this time, "
        "seconds.",
    )
    recall_s: float = Field(
        600.0,
        ge=0,
        le=86_400,
        description="Age up to which a verdict that is recalled at the start still stands for its "
        "place, seconds.",
    )
    false_positive_confirmations: int = Field(
        2,
        ge=1,
        le=100,
        description="Times that the cloud must confirm that nothing is at a place, beyond the "
        "first, before the place is a known false positive.",
    )
    false_positive_after_s: float = Field(
        10.0,
        ge=0,
        le=86_400,
        description="Time from the first of these verdicts to the last that it takes at least, "
        "seconds.",
    )
    false_positive_life_s: float = Field(
        86_400.0,
        gt=0,
        le=31_536_000,
        description="How long a known false positive is not asked about while its place looks the "
        "same, seconds.",
    )
    prior_every_s: float = Field(
        300.0,
        gt=0,
        le=86_400,
        description="How often the scene prior is written down, seconds.",
    )


class PrivacySettings(Section):
    """``[privacy]``: what nobody outside of the site is to recognise."""

    blur_classes: tuple[str, ...] = Field(
        (),
        description="Class names whose objects are blurred in all pictures that are sent or kept, "
        "as far as the light model sees them.",
    )
    blur_patches: int = Field(
        6,
        ge=1,
        le=64,
        description="Patches that remain of an object along its longer side; 1 leaves one colour.",
    )


class PipelineSettings(Section):
    """Everything between the detector and the sinks, for one camera."""

    motion: MotionSettings = Field(default_factory=MotionSettings, description="Still frames.")
    tracker: TrackerSettings = Field(default_factory=TrackerSettings, description="Tracks.")
    gate: GateSettings = Field(default_factory=GateSettings, description="What is asked.")
    misses: MissSettings = Field(
        default_factory=MissSettings, description="Signs that an object was missed."
    )
    regions: RegionSettings = Field(default_factory=RegionSettings, description="How it travels.")
    canvas: CanvasSettings = Field(
        default_factory=CanvasSettings, description="How a canvas is encoded."
    )
    fusion: FusionSettings = Field(default_factory=FusionSettings, description="What is published.")
    selftest: SelftestSettings = Field(
        default_factory=SelftestSettings, description="Which way of working pays."
    )
    trust: TrustSettings = Field(
        default_factory=TrustSettings, description="What is promised, and how it is proved."
    )
    memory: KnowledgeSettings = Field(
        default_factory=KnowledgeSettings, description="What is remembered."
    )
    privacy: PrivacySettings = Field(
        default_factory=PrivacySettings, description="What is made unrecognisable."
    )
