"""Answers of detectors that are kept, and shared while they are in progress."""

from secondlook.cloud.cache.content import content_of
from secondlook.cloud.cache.engine import CachedEngine
from secondlook.cloud.cache.metrics import CacheMetrics
from secondlook.cloud.cache.settings import CacheSettings
from secondlook.cloud.cache.verdicts import VerdictCache
from secondlook.cloud.cache.warming import Warmth, kept_warm

__all__ = [
    "CacheMetrics",
    "CacheSettings",
    "CachedEngine",
    "VerdictCache",
    "Warmth",
    "content_of",
    "kept_warm",
]
