"""What an application is called. (Real ones: heavy.)"""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from support.engine import offer
from support.ray_models import open_numbered, open_slow

from secondlook.cloud.engine.batching import Policy
from secondlook.cloud.engine.ray import RaySettings
from secondlook.cloud.engine.ray.applications import application
from secondlook.cloud.engine.ray.libraries import libraries
from secondlook.cloud.repository.config import Release
from secondlook.shared.errors import MissingDependency


def name(
    release: Release, settings: RaySettings | None = None, policy: Policy | None = None
) -> str:
    return application(release, settings or RaySettings(), open_numbered, policy or Policy())


def test_what_would_not_run_alike_is_called_otherwise() -> None:
    (release,) = offer("a", 1).releases
    batched = replace(release, config=replace(release.config, max_batch=7))
    names = {
        *(name(one) for one in offer("a", 1, 2).releases),
        *(name(one) for one in offer("a", 1, salt="x").releases),
        *(name(one) for one in offer("b/c", 1, variants=["int8"]).releases),
        name(batched),
        name(release, RaySettings(cpus=0.5)),
        name(release, policy=Policy(max_queue=3)),
        application(release, RaySettings(), open_slow, Policy()),
    }
    assert len(names) == 9
    assert all("/" not in one for one in names)
    assert all(release.version in one for one in names)


def test_what_does_not_change_a_replica_does_not_change_the_name() -> None:
    (release,) = offer("a", 1).releases
    shared = replace(release, config=replace(release.config, shares={"1": 0.5}))
    here = RaySettings(address="elsewhere", attempts=2, lease_s=60.0, linger_s=5.0)
    assert name(release) == name(shared) == name(release, here)


def test_without_ray_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"secondlook\[ray\]"):
        libraries()
    with pytest.raises(ValueError, match="min_replicas"):
        RaySettings(min_replicas=3, max_replicas=2)
