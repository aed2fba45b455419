"""From a verdict that was read to beliefs about tracks, and to the frames they change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from secondlook.edge.fusion.belief import Belief
from secondlook.edge.fusion.history import Entry, Unseen
from secondlook.edge.fusion.interpolation import interpolate
from secondlook.edge.fusion.newcomers import follow
from secondlook.edge.fusion.places import Sight
from secondlook.edge.fusion.reading import Reading, reread
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.scene import Scene
from secondlook.shared.values import Verdict


def learn(
    scene: Scene, entry: Entry, reading: Reading, given: Verdict, settings: PipelineSettings
) -> set[int]:
    """Take a verdict about ``entry`` into the scene and into the frames answered since.

    Args:
        scene: what the camera's pipeline knows.
        entry: the frame that was asked about.
        reading: the verdict, read against the boxes of that frame.
        given: the verdict as it came.
        settings: of the pipeline.

    Returns:
        The tracks about which something new is known.
    """
    tracked, verdict = entry.tracked, reading.verdict
    touched: set[int] = set()

    def belief(
        track_id: int, row: int | None, box: npt.NDArray[np.float32], found: int | None
    ) -> Belief:
        """Of a row of the edge's boxes (or none), and a row of the verdict's (or none)."""
        said = Belief.judged(
            tracked,
            row,
            box,
            verdict,
            found,
            look=entry.look,
            time_s=entry.time_s,
            cut=found is not None and bool(reading.cut[found]),
        )
        fresh = replace(
            said,
            request_id=given.request_id,
            captured_at=entry.frame.captured_at,
            model=given.model,
            version=given.version,
        )
        return fresh.after(scene.beliefs.get(track_id), settings.gate)

    def settle(track_id: int, said: Belief) -> None:
        sight = scene.latest_sight(track_id, entry) or Sight(
            said.box, entry.look, entry.frame.width
        )
        scene.believe(track_id, said, sight)
        for other in scene.history.around(entry, settings.fusion.look_back_s):
            known = other.beliefs.get(track_id)
            if other.holds(track_id) and (known is None or _nearer(said, known, other.time_s)):
                other.beliefs[track_id] = said
        touched.add(track_id)

    for row, found in reading.seen:
        track_id = int(tracked.track_ids[row])
        if track_id >= 0:
            if not reading.cut[found]:
                entry.corrected[track_id] = verdict.boxes[found]
                interpolate(scene.history, entry, track_id)
            settle(track_id, belief(track_id, row, tracked.boxes[row], found))
    for row in reading.refuted:
        track_id = int(tracked.track_ids[row])
        if track_id >= 0:
            settle(track_id, belief(track_id, row, tracked.boxes[row], None))
    entry.doubles.update(reading.doubles)
    known = _known(entry, reading, given, settings)
    for track_id, box, again in known:
        said = belief(track_id, None, box, again)
        if again is None:
            said = replace(said, class_index=entry.beliefs[track_id].class_index)
        settle(track_id, said)
    found_again = {again for _, _, again in known}
    for found in (row for row in reading.new if row not in found_again):
        track_id = _introduce(scene, entry, verdict.boxes[found], settings)
        said = belief(track_id, None, verdict.boxes[found], found)
        settle(track_id, said)
    return touched


def _known(
    entry: Entry, reading: Reading, given: Verdict, settings: PipelineSettings
) -> list[tuple[int, npt.NDArray[np.float32], int | None]]:
    """What a verdict says of the objects that only earlier ones knew of.

    Returns:
        The track, where it is, and its row of the verdict's boxes; ``None``: nothing is there.
    """
    items = [item for item in entry.unseen if item.track_id in entry.beliefs]
    if not items:
        return []
    boxes = np.stack([item.box for item in items])
    reading_again = reread(reading, boxes, given.regions, settings.fusion)
    out: list[tuple[int, npt.NDArray[np.float32], int | None]] = []
    for row, found in reading_again.seen:
        box = reading.verdict.boxes[found]
        out.append((items[row].track_id, box, found))
        entry.unseen[entry.unseen.index(items[row])] = replace(items[row], box=box)
    out += [(items[row].track_id, items[row].box, None) for row in reading_again.refuted]
    for row in reading_again.doubles:
        entry.unseen.remove(items[row])
    return out


def _nearer(said: Belief, known: Belief, time_s: float) -> bool:
    """Whether a verdict tells more about a frame than the one that is known: the nearer one does.

    Of two that are as near, and of two about earlier frames, the newer one.
    """
    if said.at_s <= time_s and known.at_s <= time_s:
        return known.at_s <= said.at_s
    return abs(said.at_s - time_s) < abs(known.at_s - time_s)


def _introduce(
    scene: Scene, entry: Entry, box: npt.NDArray[np.float32], settings: PipelineSettings
) -> int:
    """Give an object that only the cloud saw a track; returns its id."""
    later = list(scene.history.since(entry))[1:]
    trail = follow(box, entry, later, settings.fusion.same_levels)
    track_id = trail.adopted if trail.adopted is not None else scene.tracker.reserve_id()
    for missed in trail.unseen_in:
        missed.unseen.append(Unseen(track_id, box))
    last = scene.history.last
    if trail.adopted is None and trail.reaches_now and last is not None:
        scene.tracker.start(track_id, box, last.time_s)
    return track_id
