"""Settings for tests of `secondlook price`."""

from __future__ import annotations

from secondlook.cli.price.changes import changed
from secondlook.edge.pipeline_settings import PipelineSettings


def with_audits(rate: float) -> PipelineSettings:
    """The defaults, with audits at this rate."""
    return changed(PipelineSettings(), {"trust.audit_rate": rate})
