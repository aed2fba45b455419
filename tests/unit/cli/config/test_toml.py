"""`config show --format toml` writes a settings file that reads back."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.settings import SAMPLE, SampleSettings

from secondlook.cli.config import entries, nested
from secondlook.cli.config.toml import write_toml
from secondlook.shared.settings import load, read_layers

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_LEAF = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    _TEXT,
    st.lists(st.one_of(st.booleans(), _TEXT), max_size=3),
)
_TREES = st.recursive(
    _LEAF, lambda inner: st.dictionaries(_TEXT, inner, min_size=1, max_size=3), max_leaves=8
)


def _paths(prefix: str, tree: dict[str, Any]) -> list[str]:
    found = []
    for key, value in tree.items():
        path = f"{prefix}.{key}" if prefix else key
        found += _paths(path, value) if isinstance(value, dict) and value else [path]
    return found


@given(st.dictionaries(_TEXT, _TREES, max_size=4))
def test_any_tree_reads_back(tree: dict[str, Any]) -> None:
    text = write_toml(tree, dict.fromkeys(_paths("", tree), "file"))
    assert tomllib.loads(text) == tree


def test_real_settings_read_back_to_equal_settings(tmp_path: Path) -> None:
    # Without the secrets, which are masked on purpose.
    path = tmp_path / "a.toml"
    path.write_text(re.sub(r"[a-z]*:?hunter2@?", "", SAMPLE))
    settings = load(SampleSettings, "edge", path, {})
    sources = {e.field: e.source for e in entries(settings, read_layers("edge", path, {}))}
    path.write_text(write_toml(nested(settings), sources))
    assert load(SampleSettings, "edge", path, {}) == settings
    assert 'target = "dns:///cloud:50051"  # file' in path.read_text()
    assert "retries = 3  # default" in path.read_text()
    assert "note" not in path.read_text()


def test_what_has_no_source_is_left_out_with_its_empty_table() -> None:
    tree = {"a": 1, "t": {"b": 2}, "u": {"c": 3, "d": 4}}
    text = write_toml(tree, {"u.d": "file"})
    assert text == "[u]\nd = 4  # file\n"


def test_a_foreign_type_is_refused() -> None:
    with pytest.raises(TypeError, match="bytes"):
        write_toml({"a": b"x"}, {"a": "file"})
