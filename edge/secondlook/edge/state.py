"""Where this program keeps what outlives it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from secondlook.shared.errors import InvalidConfig


def kept_at(
    given: Path | None, name: str, environ: Mapping[str, str], *, what: str, setting: str
) -> Path:
    """A file or folder that outlives the process.

    Args:
        given: where the settings put it; ``None``: they do not say.
        name: in the folder of the state.
        environ: the environment, usually ``os.environ``.
        what: for people, what a home directory is missing for.
        setting: ``section.field`` that would say it; the section also has ``enabled``.

    Raises:
        InvalidConfig: the settings do not say, and there is no home directory.
    """
    if given is not None:
        return given
    folder = state_folder(environ)
    if folder is None:
        section = setting.rpartition(".")[0]
        raise InvalidConfig(
            f"there is no home directory to {what} in",
            remedy=f"set {setting}, or {section}.enabled = false",
        )
    return folder / name


def state_folder(environ: Mapping[str, str]) -> Path | None:
    """The folder of the state; ``None`` where there is no home directory."""
    # systemd gives several directories separated by colons; the first is the main one.
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    base = environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(base):  # noqa: PTH117 - the specification ignores relative ones
        return Path(base) / "secondlook"
    home = environ.get("HOME", "")
    return Path(home) / ".local" / "state" / "secondlook" if home else None
