"""The repository as a thing under test: its root, its roots of code, its tracked files."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CODE_ROOTS = ("edge", "cloud", "shared", "protos")
"""Each holds one portion, or several, of the namespace `secondlook`, and nothing else."""


@functools.cache
def tracked_files() -> tuple[Path, ...]:
    """Files that git tracks and that exist, relative to `ROOT`; skips the test without git."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: nothing says which files belong to the project")
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, timeout=30
    )
    names = listing.stdout.decode().split("\0")
    return tuple(Path(name) for name in names if name and (ROOT / name).is_file())


def text_of(path: Path) -> str | None:
    """The text of a tracked file; ``None`` where it is not UTF-8 text."""
    raw = (ROOT / path).read_bytes()
    if b"\0" in raw[:8192]:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
