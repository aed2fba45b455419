"""Applications of Ray Serve: what they are called, which of them run, and how they go."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from secondlook.cloud.engine.batching import Policy
from secondlook.cloud.engine.lifecycle import Open
from secondlook.cloud.engine.lineup import as_loaded
from secondlook.cloud.engine.ray.libraries import PREFIX, libraries
from secondlook.cloud.engine.ray.settings import RaySettings
from secondlook.cloud.repository.config import Release
from secondlook.shared.errors import Unavailable

_COMING = "DEPLOYING"
_THERE = ("RUNNING", "UNHEALTHY")
"""Of an unhealthy one, Serve replaces the replicas that have died."""


def application(release: Release, settings: RaySettings, open_release: Open, policy: Policy) -> str:
    """What a release's application is called: what would not run alike has another name.

    It says the model, the version, the variant, and the first digits of two digests: of the
    content of the files, and of all else that makes a replica what it is (its configuration, the
    settings of the cluster, our own release). The `Keeper` adds some digits for each time that it
    is deployed.
    """
    opener = f"{open_release.__module__}.{getattr(open_release, '__qualname__', '')}"
    sized = settings.replicas()
    rest = repr((version("secondlook"), opener, as_loaded(release), policy, sized))
    parts = (
        *(PREFIX, release.config.name, release.version, release.variant),
        release.digest[:12] or "0",
        hashlib.sha256(rest.encode()).hexdigest()[:8],
    )
    return "-".join(
        re.sub(r"[^A-Za-z0-9._]", "_", part) if part != PREFIX else part for part in parts
    )


def running(name: str, timeout_s: float) -> Any:
    """The handle of an application that another process has deployed; ``None``: there is none.

    Blocking.

    Raises:
        TimeoutError: it has not come up in time.
    """
    _, serve = libraries()
    give_up_s = time.monotonic() + timeout_s
    while True:
        found = serve.status().applications.get(name)
        if found is None or found.status not in (*_THERE, _COMING):
            return None
        if found.status in _THERE:
            break
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"still {found.status.value} after {timeout_s:.0f} s")
        # Serve tells nobody but those who ask.
        time.sleep(0.2)
    try:
        return serve.get_app_handle(name)
    except serve.exceptions.RayServeException:
        # Deleted in this moment.
        return None


class ServeApplications:
    """See `Applications`; on the cluster of the process that it is used in."""

    async def names(self) -> Sequence[str]:
        """See `Applications.names`."""
        _, serve = libraries()
        found = (await asyncio.to_thread(serve.status)).applications
        alive = (*_THERE, _COMING)
        return [
            name
            for name, one in found.items()
            if name.startswith(f"{PREFIX}-") and one.status in alive
        ]

    async def delete(self, name: str) -> None:
        """See `Applications.delete`."""
        ray, serve = libraries()
        try:
            # It waits for at most a minute; what was never deployed is passed over.
            await asyncio.to_thread(serve.delete, name)
        except (TimeoutError, ray.exceptions.RayError, serve.exceptions.RayServeException) as error:
            raise Unavailable(f"{name}: {str(error)[:300]}") from error
