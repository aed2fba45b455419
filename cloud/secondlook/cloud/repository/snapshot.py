"""What a repository holds at one moment: what is to be served, and what cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.cloud.repository.findings import Finding


@dataclass(frozen=True, slots=True)
class Offer:
    """One model that can be served.

    Attributes:
        name: its name.
        config: how it is to be run, of the newest release.
        releases: what its version policy asks for and reads well, at least one: oldest version
            first, a version's main file before its variants. A release that equals one already
            loaded needs nothing; any other is loaded beside it.
        findings: what else there is to know of it.
    """

    name: str
    config: ModelConfig
    releases: tuple[Release, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment.

    Attributes:
        offers: the models to be served, by name, sorted.
        findings: what is refused or passed over, of all models and of none.
    """

    offers: Mapping[str, Offer] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
