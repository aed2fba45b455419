"""What lies where, and what is passed over."""

import os
from pathlib import Path

import pytest
from support.model_tree import ModelTree

from secondlook.cloud.repository import layout
from secondlook.cloud.repository.findings import Severity
from secondlook.cloud.repository.layout import Folder, list_folder, list_roots


@pytest.fixture
def tree(tmp_path: Path) -> ModelTree:
    return ModelTree(tmp_path / "models")


def test_versions_are_numbers(tree: ModelTree) -> None:
    for number in (10, 9, 1, 2**63 - 1):
        tree.version("m", number)
    assert list_folder(tree.root / "m").versions == (1, 9, 10, 2**63 - 1)


@pytest.mark.parametrize(
    "name", ["00001", "0", "-1", "+1", str(2**63), "9" * 200, "1.0", "latest", "١"]
)
def test_what_is_no_version_is_passed_over_with_the_reason(tree: ModelTree, name: str) -> None:
    tree.version("m", 3)
    tree.version("m", name)
    folder = list_folder(tree.root / "m")
    assert folder.versions == (3,)
    (finding,) = folder.findings
    assert finding.file == tree.root / "m" / name
    assert finding.reason.endswith("passed over")


def test_what_is_no_model_is_passed_over_with_the_reason(tree: ModelTree) -> None:
    tree.version("m", 1)
    (tree.root / "README.md").write_text("about")
    (tree.root / "notes").mkdir()
    (tree.root / "we ird").mkdir()
    (tree.root / ".git").mkdir()
    listing = list_roots([tree.root])
    assert list(listing.folders) == ["m"]
    reasons = {str(finding.file): finding.reason for finding in listing.findings}
    assert reasons[f"{tree.root}/README.md"] == "is not a directory; not a model"
    assert "holds neither" in reasons[f"{tree.root}/notes"]
    assert "no model can have this name" in reasons[f"{tree.root}/we ird"]
    assert len(reasons) == 3


def test_the_names_of_detectors_asked_with_pictures_are_taken(tree: ModelTree) -> None:
    tree.version("m", 1)
    tree.version("m.detect", 1)
    tree.version("m.detector", 1)
    listing = list_roots([tree.root])
    assert list(listing.folders) == ["m", "m.detector"]
    (finding,) = listing.findings
    assert finding.file == tree.root / "m.detect"
    assert "how pictures are sent to the detector 'm'" in finding.reason
    assert finding.severity is Severity.ERROR


def test_of_two_roots_the_earlier_counts(tree: ModelTree, tmp_path: Path) -> None:
    other = ModelTree(tmp_path / "other")
    tree.version("m", 1)
    other.version("m", 2)
    other.version("n", 1)
    listing = list_roots([tree.root, other.root])
    assert {name: f.path for name, f in listing.folders.items()} == {
        "m": tree.root / "m",
        "n": other.root / "n",
    }
    (finding,) = listing.findings
    assert "this one is not served" in finding.reason


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    listing = list_roots([tmp_path / "gone"])
    assert listing.failed == (tmp_path / "gone",)
    assert "No such file" in listing.findings[0].reason


def test_links_are_followed_and_loops_are_not(tree: ModelTree, tmp_path: Path) -> None:
    elsewhere = ModelTree(tmp_path / "elsewhere")
    elsewhere.version("m", 1)
    (tree.root / "m").symlink_to(elsewhere.root / "m")
    (tree.root / "loop").symlink_to(tree.root / "loop")
    (tree.root / "dangling").symlink_to("nowhere")
    (tree.root / "round").mkdir()
    (tree.root / "round" / "1").symlink_to(tree.root)
    (tree.root / "round" / "2").symlink_to(tree.root / "round" / "2")
    listing = list_roots([tree.root])
    assert list(listing.folders) == ["m", "round"]
    assert listing.folders["m"].versions == (1,)
    assert listing.folders["round"].versions == (1,)
    assert {f.file.name for f in listing.findings if f.file} == {"loop", "dangling"}


def test_a_directory_of_too_many_entries(tree: ModelTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAX_ENTRIES", 3)
    for number in range(1, 5):
        tree.version("m", number)
    folder = list_folder(tree.root / "m")
    assert folder.unreadable
    assert "more than 3 entries" in folder.findings[0].reason


def stamp(tree: ModelTree) -> Folder:
    return list_folder(tree.root / "m")


def test_the_stamp_changes_with_whatever_changes(tree: ModelTree) -> None:
    file = tree.version("m", 1)
    seen = {stamp(tree).stamp}
    file.write_bytes(b"longer or shorter")
    seen.add(stamp(tree).stamp)
    # A copy in progress writes to a hidden file first.
    part = tree.file("m", 1, ".model.onnx.part", b"")
    seen.add(stamp(tree).stamp)
    part.write_bytes(b"more")
    seen.add(stamp(tree).stamp)
    tree.config("m", "max_batch_size: 1")
    seen.add(stamp(tree).stamp)
    # The same size and the same time, but another file.
    times = file.stat()
    other = file.with_name("new")
    other.write_bytes(b"shorter or longer")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.rename(file)
    seen.add(stamp(tree).stamp)
    (tree.root / "m" / "2").mkdir()
    seen.add(stamp(tree).stamp)
    assert len(seen) == 7
    assert stamp(tree).stamp in seen
