"""What a comparison keeps for the next one, and takes from the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import anyio.to_thread
import numpy as np

from secondlook.cli.price.cache import Reference, ResultCache
from secondlook.cli.price.comparison import LiveReferee, Referee, Standard, StoredReferee
from secondlook.cli.price.fingerprint import (
    clip_fingerprint,
    code_fingerprint,
    key_of,
    model_fingerprint,
)
from secondlook.cli.price.heavy import Heavy
from secondlook.cli.price.ledger import Ledger
from secondlook.cli.price.plan import Plan
from secondlook.cli.price.specs import Spec
from secondlook.shared.detect import ModelInfo
from secondlook.shared.telemetry import get_logger

_log = get_logger(__name__)


@dataclass(slots=True, eq=False)
class Stored:
    """The results of one clip and one heavy model at one rate.

    Attributes:
        cache: where they are; ``None``: nothing is kept.
        base: what all of them depend on.
        rate: analysed frames a second.
        reference: what the heavy model saw, where that is known.
    """

    cache: ResultCache | None
    base: dict[str, str | int | float | None] = field(default_factory=dict)
    rate: float = 0.0
    reference: Reference | None = None

    async def load(self, specs: Sequence[Spec]) -> dict[str, Ledger]:
        """The ledgers that are known, by system; and the reference."""
        cache = self.cache
        if cache is None:
            return {}
        self.reference = await anyio.to_thread.run_sync(cache.load_reference, self._key(None))
        if self.reference is None:
            return {}
        frames = len(self.reference.answers)
        found = {}
        for spec in specs:
            if spec.cacheable:
                ledger = await anyio.to_thread.run_sync(
                    cache.load_ledger, self._key(spec), spec.name, frames
                )
                if ledger is not None:
                    found[spec.name] = ledger
        return found

    def referee(self, heavy: Heavy) -> Referee:
        """Says what the reference is."""
        if self.reference is None:
            return LiveReferee(heavy)
        return StoredReferee(self.reference.answers, self.reference.checks.tolist())

    def fits(self, frames: int) -> bool:
        """Whether what is kept is of so many frames."""
        return self.reference is None or len(self.reference.answers) == frames

    async def save(
        self, specs: Sequence[Spec], made: Mapping[str, Ledger], standard: Standard
    ) -> None:
        """Keep what is new."""
        cache = self.cache
        if cache is None:
            return
        if self.reference is None:
            reference = Reference(standard.references, np.array(standard.checks, np.uint32))
            await anyio.to_thread.run_sync(cache.save_reference, self._key(None), reference)
        for spec in specs:
            if spec.cacheable:
                await anyio.to_thread.run_sync(cache.save_ledger, self._key(spec), made[spec.name])

    def _key(self, spec: Spec | None) -> str:
        what = {"system": "reference", "rate": self.rate}
        return key_of({**self.base, **(what if spec is None else spec.parts(self.rate))})


def no_store() -> Stored:
    """Keeps nothing and knows nothing."""
    return Stored(None)


async def open_store(plan: Plan, heavy: ModelInfo) -> Stored:
    """What is known about a plan's clip.

    Raises:
        InvalidConfig: the folder cannot be used.
    """
    folder = plan.cache
    if folder is None:
        return no_store()

    def opened() -> Stored:
        clip = clip_fingerprint(plan.clip)
        if clip is None or not plan.cloud_model:
            _log.info("nothing is kept: the frames may differ each time", clip=plan.clip)
            return no_store()
        base: dict[str, str | int | float | None] = {
            "clip": clip,
            "clip_fps": plan.clip_fps,
            "max_frames": plan.max_frames,
            "model": model_fingerprint(plan.cloud_model, heavy),
            "code": code_fingerprint(),
        }
        return Stored(ResultCache(folder), base, plan.analysis_fps)

    return await anyio.to_thread.run_sync(opened)
