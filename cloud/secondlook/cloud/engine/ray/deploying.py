"""Models as applications of Ray Serve. Foreign errors (``ray``) are mapped here and in `asking`."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from secondlook.cloud.engine.batching import Policy
from secondlook.cloud.engine.lifecycle import Open, Opened
from secondlook.cloud.engine.ray.messages import Described, Failed
from secondlook.cloud.engine.ray.replica import Replica
from secondlook.cloud.engine.ray.settings import RaySettings
from secondlook.cloud.engine.tensors import Array, Signature, Tensors
from secondlook.cloud.repository.config import Release
from secondlook.cloud.stability import Breakers
from secondlook.shared.detect.protocol import Image, ModelInfo
from secondlook.shared.errors import MissingDependency, Unavailable
from secondlook.shared.values import Detections

_RUNNING = "RUNNING"
_COMING = "DEPLOYING"

SHUTDOWN_S = 20.0
"""Longest time that a replica gets to finish what it has accepted."""


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


def connect(settings: RaySettings) -> Callable[[], None]:
    """Join the cluster; blocking. Returns what leaves it again.

    Raises:
        MissingDependency: ray is not installed.
        Unavailable: there is no cluster at the address.
    """
    ray, serve = libraries()
    joined = not ray.is_initialized()
    try:
        if joined:
            address = None if settings.address == "local" else settings.address
            ray.init(address=address, namespace="secondlook", log_to_driver=False)
        # The service speaks for itself: no proxy of Serve's.
        serve.start(proxy_location="Disabled")
    except (ConnectionError, RuntimeError, TimeoutError) as error:
        raise Unavailable(f"no Ray cluster at {settings.address}: {error}") from error
    return ray.shutdown if joined else lambda: None


class Deployer:
    """Opens releases as applications; see `Open`.

    An application that runs already, deployed by another process of ours, is used as it is: the
    processes in front keep no state, and there may be any number of them.

    Args:
        settings: how large.
        open_release: loads a release, in a replica.
        policy: of the replicas' batchers, where a model says nothing.
        breakers: one goes around each application; ``None``: none does.
    """

    def __init__(
        self,
        settings: RaySettings,
        open_release: Open,
        policy: Policy,
        breakers: Breakers | None = None,
    ) -> None:
        self._breakers = breakers
        self._settings = settings
        self._open = open_release
        self._policy = policy
        # What is unloaded may be loaded again before it has drained: the last one out deletes.
        self._held: Counter[str] = Counter()
        self._deleted: set[str] = set()
        self._lock = threading.Lock()
        self.leaving = False
        """Whether the process ends: then applications may be left to others."""

    def __call__(self, release: Release) -> Opened:
        """Deploy it, and wait until the first replica has loaded it.

        Raises:
            InvalidModel, InvalidConfig, MissingDependency, ModelFailure: as the replica says.
            Unavailable: no replica came up in time.
        """
        ray, serve = libraries()
        name = application(release)
        with self._lock:
            self._held[name] += 1
        try:
            return self._deploy(ray, serve, name, release)
        except BaseException:  # also an interrupt: what was begun is taken back, the error goes on
            self._close(serve, name)
            raise

    def _deploy(self, ray: Any, serve: Any, name: str, release: Release) -> Opened:
        try:
            handle = None
            if name not in self._deleted:
                handle = _running(serve, name, self._settings.start_timeout_s)
            if handle is None:
                # It may be on its way out, or one that could not be deployed.
                serve.delete(name)
                self._deleted.discard(name)
                handle = serve.run(self._bound(serve, release), name=name, route_prefix=None)
            told = handle.describe.remote().result(timeout_s=self._settings.start_timeout_s)
        except (ray.exceptions.RayError, serve.exceptions.RayServeException) as error:
            raise Unavailable(f"{name} did not start: {type(error).__name__}") from error
        except (RuntimeError, TimeoutError) as error:
            raise Unavailable(f"{name} did not start: {str(error)[:300]}") from error
        if isinstance(told, Failed):
            raise told.error
        assert isinstance(told, Described)
        guard = None
        if self._breakers is not None:
            config = release.config
            guard = self._breakers.guard(
                f"{config.name}:{release.version}:{release.variant}", lanes=0
            )
        deployed = Deployed(handle, told, lambda: self._close(serve, name))
        return Opened(release, [deployed], guard)

    def _close(self, serve: Any, name: str) -> None:
        with self._lock:
            self._held[name] -= 1
            if not self._held[name] and not (self.leaving and self._settings.keep):
                # What was never deployed is passed over by Serve.
                serve.delete(name, _blocking=False)
                # Serve calls it running for some time yet.
                self._deleted.add(name)

    def _bound(self, serve: Any, release: Release) -> Any:
        settings = self._settings
        deployment = serve.deployment(
            name="model",
            autoscaling_config={
                "min_replicas": settings.min_replicas,
                "max_replicas": settings.max_replicas,
                "target_ongoing_requests": settings.target_in_flight,
                "upscale_delay_s": settings.scale_up_s,
                "downscale_delay_s": settings.scale_down_s,
                "metrics_interval_s": min(10.0, settings.scale_up_s),
                "look_back_period_s": max(2.0, settings.scale_up_s),
            },
            ray_actor_options={"num_cpus": settings.cpus, "num_gpus": settings.gpus},
            # Batches are put together, and work is refused, by the replica's batcher.
            max_ongoing_requests=settings.max_in_flight,
            max_constructor_retry_count=1,
            graceful_shutdown_timeout_s=SHUTDOWN_S,
            graceful_shutdown_wait_loop_s=0.1,
            health_check_period_s=2.0,
            health_check_timeout_s=10.0,
        )(Replica)
        return deployment.bind(self._open, release, self._policy)


class Deployed:
    """A `Backend` that runs elsewhere, and is asked by request through ``handle``.

    Args:
        handle: of the application.
        told: what its first replica has loaded.
        close: deletes the application.
    """

    def __init__(self, handle: Any, told: Described, close: Callable[[], None]) -> None:
        self.handle = handle
        self.signature: Signature = told.signature
        self.device = f"ray, {told.device}"
        self.memory_bytes = told.memory_bytes
        self.detector = None if told.info is None else _Elsewhere(told.info)
        self._close = close

    def run(self, inputs: Tensors, outputs: Sequence[str] = ()) -> dict[str, Array]:
        """Not to be had.

        Raises:
            Unavailable: always; it is asked through its handle.
        """
        raise Unavailable("a deployment is asked through its handle")

    def warm_up(self) -> None:
        """Its replicas have done that."""

    def close(self) -> None:
        """Delete the application, once what it has accepted is finished."""
        self._close()


class _Elsewhere:
    """A `Detector` that is only known here."""

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    def detect(self, images: Sequence[Image], min_score: float = 0.05) -> list[Detections]:
        raise Unavailable("a deployment is asked through its handle")

    def warm_up(self) -> None:
        """Its replicas have done that."""

    def close(self) -> None:
        """It is not open here."""


def application(release: Release) -> str:
    """The name of a release's application: what is not equal has another one."""
    parts = ("secondlook", release.config.name, release.version, release.variant)
    named = "-".join(re.sub(r"[^A-Za-z0-9._]", "_", part) for part in parts)
    return f"{named}-{release.digest[:12]}" if release.digest else named


def _running(serve: Any, name: str, timeout_s: float) -> Any:
    """The handle of an application that another process has deployed; ``None``: there is none."""
    give_up_s = time.monotonic() + timeout_s
    while True:
        found = serve.status().applications.get(name)
        if found is None or found.status not in (_RUNNING, _COMING):
            return None
        if found.status == _RUNNING:
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
