"""Ray, where it is installed, and the names of ours there."""

from __future__ import annotations

import os
from typing import Any

from secondlook.shared.errors import MissingDependency

PREFIX = "secondlook-1"
"""Of everything of ours on a cluster. The number changes with what `Keeper` and those in front say
to each other, so that two releases of ours leave each other's applications alone."""

KEEPER = f"{PREFIX}-keeper"
"""The actor that is a `Keeper`."""

NAMESPACE = "secondlook"
"""Of that actor."""


def libraries() -> tuple[Any, Any]:
    """``ray`` and ``ray.serve``.

    Raises:
        MissingDependency: they are not installed.
    """
    # Nothing is reported to anybody unless the operator wants it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        # Else a thread of Ray Serve that outlives the connection starts a cluster of its own.
        os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
        import ray
        from ray import serve
    except ImportError:
        raise MissingDependency("ray", "ray") from None
    return ray, serve
