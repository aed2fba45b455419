"""Models as applications of Ray Serve. Foreign errors (``ray``) are mapped here and in `front`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from secondlook.cloud.engine.batching import Policy
from secondlook.cloud.engine.lifecycle import Open, Opened
from secondlook.cloud.engine.ray.applications import ServeApplications, application, running
from secondlook.cloud.engine.ray.deployed import Deployed
from secondlook.cloud.engine.ray.keeper import Keeper
from secondlook.cloud.engine.ray.libraries import KEEPER, NAMESPACE, libraries
from secondlook.cloud.engine.ray.messages import Described, Failed
from secondlook.cloud.engine.ray.replica import Replica
from secondlook.cloud.engine.ray.reports import Report
from secondlook.cloud.engine.ray.settings import RaySettings
from secondlook.cloud.repository.config import Release
from secondlook.cloud.stability import Breakers
from secondlook.shared.errors import Unavailable
from secondlook.shared.telemetry import get_logger

SHUTDOWN_S = 20.0
"""Longest time that a replica gets to finish what it has accepted."""

ASKING_S = 10.0
"""Longest wait for what the keeper answers at once."""


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
            ray.init(address=address, namespace=NAMESPACE, log_to_driver=False)
        # The service speaks for itself: no proxy of Serve's.
        serve.start(proxy_location="Disabled")
    except (ConnectionError, RuntimeError, TimeoutError) as error:
        raise Unavailable(f"no Ray cluster at {settings.address}: {error}") from error
    return ray.shutdown if joined else lambda: None


def keeper_of(settings: RaySettings) -> Any:
    """The cluster's `Keeper`, started where there is none. Blocking; inside `connect`."""
    ray, _ = libraries()
    return (
        ray.remote(Keeper)
        .options(
            name=KEEPER,
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            num_cpus=0,
            # Its node may go away.
            max_restarts=-1,
            max_task_retries=-1,
        )
        .remote(ServeApplications(), settings.lease_s)
    )


@dataclass(slots=True)
class _Held:
    """One lease of ours.

    Attributes:
        application: what is needed.
        release: what it runs.
        name: what Ray Serve calls it; empty until it is known.
        backend: what asks it; ``None`` until it is there.
        restoring: whether it is being deployed again.
    """

    application: str
    release: Release
    name: str = ""
    backend: Deployed | None = None
    restoring: bool = False


class Deployer:
    """Opens releases as applications; see `Open`.

    An application that runs already, deployed by another process of ours, is used as it is: the
    processes in front keep no state, and there may be any number of them. What each of them needs
    is known to the `Keeper`, which deletes what none of them needs.

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
        self._held: dict[str, _Held] = {}
        self._keeper: Any = None
        self._lock = threading.Lock()
        self.leaving = False
        """Whether the process ends: then applications may be left to others for a while."""

    def __call__(self, release: Release) -> Opened:
        """Have it deployed, and wait until the first replica has loaded it.

        Raises:
            InvalidModel, InvalidConfig, MissingDependency, ModelFailure: as the replica says.
            Unavailable: no replica came up in time.
        """
        holder = uuid4().hex
        held = _Held(application(release, self._settings, self._open, self._policy), release)
        with self._lock:
            self._held[holder] = held
        try:
            handle, told = self._have(holder, held)
        except BaseException:  # also an interrupt: what was begun is taken back, the error goes on
            self._close(holder)
            raise
        guard = None
        if self._breakers is not None:
            config = release.config
            guard = self._breakers.guard(
                f"{config.name}:{release.version}:{release.variant}", lanes=0
            )
        held.backend = Deployed(handle, told, lambda: self._close(holder))
        return Opened(release, [held.backend], guard)

    def renew(self) -> Sequence[str]:
        """Say what is still needed here; blocking. Returns the leases that have run out before.

        Raises:
            Unavailable: the cluster does not answer.
        """
        with self._lock:
            held = [(one.application, one.name, holder) for holder, one in self._held.items()]
        if not held:
            return ()
        lapsed: Sequence[str] = self._ask("renew", held, self._settings.lease_s)
        return lapsed

    def restore(self, holder: str) -> None:
        """Deploy again what was deleted while this process could not be heard. Blocking.

        Raises:
            SecondlookError: see `__call__`; it may be tried again.
        """
        with self._lock:
            held = self._held.get(holder)
            if held is None or held.backend is None or held.restoring:
                return
            # What is held from now on is another one, whose name is not known yet.
            lost, held.name = held.name, ""
            held.restoring = True
        try:
            held.backend.handle, _ = self._have(holder, held)
        except BaseException:  # also an interrupt: it is still lost, and the error goes on
            held.name = lost
            raise
        finally:
            held.restoring = False

    def told(self) -> Sequence[tuple[Release, Report]]:
        """What the replicas that are asked from here say about themselves; blocking.

        Raises:
            Unavailable: the cluster does not answer.
        """
        with self._lock:
            names = {one.name: one.release for one in self._held.values() if one.name}
        if not names:
            return ()
        reports: list[Report] = self._ask("told", list(names))
        return [(names[report.application], report) for report in reports]

    def _have(self, holder: str, held: _Held) -> tuple[Any, Described]:
        ray, serve = libraries()
        wanted, settings = held.application, self._settings
        timeout_s, lease_s = settings.start_timeout_s, settings.lease_s
        try:
            handle = None
            while handle is None:
                name, mine = self._ask("hold", wanted, holder, lease_s, timeout_s=timeout_s)
                if mine:
                    handle = serve.run(
                        self._bound(serve, held.release), name=name, route_prefix=None
                    )
                    if not self._ask("deployed", wanted, name, holder, lease_s):
                        # Not done before the lease ran out.
                        handle = None
                else:
                    handle = running(name, timeout_s)
                    if handle is None:
                        self._ask("lost", wanted, name)
            told = handle.describe.remote().result(timeout_s=timeout_s)
        except (ray.exceptions.RayError, serve.exceptions.RayServeException) as error:
            raise Unavailable(f"{wanted} did not start: {type(error).__name__}") from error
        except (RuntimeError, TimeoutError) as error:
            raise Unavailable(f"{wanted} did not start: {str(error)[:300]}") from error
        if isinstance(told, Failed):
            raise told.error
        assert isinstance(told, Described)
        held.name = name
        return handle, told

    def _close(self, holder: str) -> None:
        with self._lock:
            held = self._held.pop(holder)
        linger_s = self._settings.linger_s if self.leaving else 0.0
        try:
            self._ask("release", held.application, holder, linger_s)
        except Unavailable as error:
            get_logger(__name__).warning(
                "not released; its lease runs out", application=held.application, error=str(error)
            )

    def _ask(self, method: str, *arguments: Any, timeout_s: float = ASKING_S) -> Any:
        """The keeper's answer. Blocking."""
        ray, _ = libraries()
        try:
            if self._keeper is None:
                self._keeper = keeper_of(self._settings)
            return ray.get(getattr(self._keeper, method).remote(*arguments), timeout=timeout_s)
        except ray.exceptions.RayError as error:
            # It may be another one by the next time.
            self._keeper = None
            raise Unavailable(f"the keeper of applications: {type(error).__name__}") from error

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
