"""Settings for tests of `secondlook price`."""

from __future__ import annotations

from secondlook.cli.price.changes import changed, has_setting
from secondlook.edge.pipeline_settings import PipelineSettings


def with_audits(rate: float) -> PipelineSettings:
    """The defaults, with audits at this rate."""
    path = next(path for path in ("trust.audit_rate", "gate.audit_rate") if has_setting(path))
    return changed(PipelineSettings(), {path: rate})
