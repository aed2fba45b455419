"""Settings of the verdict cache."""

from __future__ import annotations

from pydantic import Field

from secondlook.shared.settings import Section


class CacheSettings(Section):
    """Answers that are kept: the same picture to the same version gets the same boxes."""

    enabled: bool = Field(
        True,
        description="Keep answers, and ask the network once where several "
        "callers ask the same at the same time.",
    )
    max_bytes: int = Field(
        32 * 1024 * 1024,
        ge=0,
        le=1024**4,
        description="Most that the answers take, bytes; then the one used longest ago goes. 0: "
        "none is kept.",
    )
    warm_up: bool = Field(
        True,
        description="Keep the answers asked for most in the context memory, for the next start.",
    )
    save_every_s: float = Field(
        60.0, ge=1, le=86_400, description="Pause between two such savings, seconds."
    )
