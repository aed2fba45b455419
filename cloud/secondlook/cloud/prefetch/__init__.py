"""Which models to hold in memory, where there are more than fit. See docs/guides/scale-out.md."""

from secondlook.cloud.prefetch.prefetcher import EVERY_S, Prefetcher
from secondlook.cloud.prefetch.recorder import Recorder
from secondlook.cloud.prefetch.residency import Advice, LeastRecent, Residency, When
from secondlook.cloud.prefetch.settings import PrefetchSettings

__all__ = [
    "EVERY_S",
    "Advice",
    "LeastRecent",
    "PrefetchSettings",
    "Prefetcher",
    "Recorder",
    "Residency",
    "When",
]
