"""What makes up a release, and whether it is what SHA256SUMS says."""

import hashlib
import os
from pathlib import Path

import pytest

from secondlook.cloud.repository.digests import MAX_SUMS_BYTES, Digests, read_sums, verify
from secondlook.shared.errors import InvalidModel


def put(folder: Path, **files: bytes) -> tuple[str, ...]:
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return tuple(sorted(path.name for path in folder.iterdir()))


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_of_a_file_alone_it_is_its_own(tmp_path: Path) -> None:
    files = put(tmp_path, **{"model.onnx": b"m"})
    assert Digests().of_release(tmp_path, "model.onnx", files) == sha(b"m")


@pytest.mark.parametrize("other", ["model.onnx.data", "weights.bin", "model.toml", "model.txt"])
def test_what_belongs_to_it_counts(tmp_path: Path, other: str) -> None:
    files = put(tmp_path, **{"model.onnx": b"m", other: b"1"})
    before = Digests().of_release(tmp_path, "model.onnx", files)
    put(tmp_path, **{other: b"2"})
    assert Digests().of_release(tmp_path, "model.onnx", files) != before


@pytest.mark.parametrize(
    "other",
    ["model.int8.onnx", "model.int8.onnx.data", "README.md", "quantization.json", "SHA256SUMS"],
)
def test_a_variant_or_a_note_may_come_later(tmp_path: Path, other: str) -> None:
    files = put(tmp_path, **{"model.onnx": b"m", "model.int8.onnx": b"i"})
    digests = Digests()
    before = digests.of_release(tmp_path, "model.onnx", files)
    files = put(tmp_path, **{other: b"new"})
    assert digests.of_release(tmp_path, "model.onnx", files) == before


def test_what_has_not_changed_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, **{"model.onnx": b"m"})
    digests, file = Digests(), tmp_path / "model.onnx"
    known = digests.of(file)
    assert known == sha(b"m")

    class Unread:
        def update(self, data: bytes) -> None:
            pytest.fail("it was read")

    with monkeypatch.context() as patched:
        patched.setattr(hashlib, "sha256", Unread)
        assert digests.of(file) == known
        with pytest.raises(pytest.fail.Exception):
            Digests().of(file)
    put(tmp_path, **{"model.onnx": b"other"})
    assert digests.of(file) == sha(b"other")


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "directory.onnx").mkdir()
    os.mkfifo(tmp_path / "pipe.onnx")
    (tmp_path / "loop.onnx").symlink_to("loop.onnx")
    (tmp_path / "empty.onnx").touch()
    for name, expected in (
        ("directory.onnx", "is a directory"),
        ("pipe.onnx", "no regular file"),
        ("loop.onnx", "cannot be read"),
        ("empty.onnx", "is empty"),
        ("missing.onnx", "does not exist"),
    ):
        with pytest.raises(InvalidModel, match=expected):
            Digests().of(tmp_path / name)


def check(folder: Path, sums: str) -> None:
    files = put(folder, SHA256SUMS=sums.encode())
    said = read_sums(folder, files)
    assert said is not None
    verify(folder, said, Digests(), "model.onnx")


def test_sums_as_the_tool_writes_them(tmp_path: Path) -> None:
    put(tmp_path, **{"model.onnx": b"m", "model.toml": b"t"})
    check(tmp_path, f"# made by hand\n\n{sha(b'm')}  model.onnx\n{sha(b't').upper()} *./model.toml")
    assert read_sums(tmp_path, ("model.onnx",)) is None


@pytest.mark.parametrize(
    ("sums", "expected"),
    [
        (f"{sha(b'x')}  model.onnx", "has SHA-256 .* but SHA256SUMS says"),
        (f"{sha(b'm')}  model.onnx\n{sha(b'x')}  model.toml", "model.toml has SHA-256"),
        (f"{sha(b'm')}  model.onnx\n{sha(b'x')}  gone.data", "gone.data does not exist"),
        (f"{sha(b't')}  model.toml", "does not list model.onnx"),
        ("", "does not list model.onnx"),
        (f"{sha(b'm')}  model.onnx\nnonsense", "SHA256SUMS:2: 'nonsense' is no line"),
        (f"{sha(b'm')}  ../model.onnx", "SHA256SUMS:1: "),
        (f"{sha(b'm')[:-1]}  model.onnx", "SHA256SUMS:1: "),
        ("#" * (MAX_SUMS_BYTES + 1), "larger than"),
    ],
)
def test_sums_that_do_not_hold(tmp_path: Path, sums: str, expected: str) -> None:
    put(tmp_path, **{"model.onnx": b"m", "model.toml": b"t"})
    with pytest.raises(InvalidModel, match=expected):
        check(tmp_path, sums)


def test_another_variant_that_was_made_anew_is_not_this_ones_fault(tmp_path: Path) -> None:
    put(tmp_path, **{"model.onnx": b"m", "model.int8.onnx": b"new"})
    check(tmp_path, f"{sha(b'm')}  model.onnx\n{sha(b'old')}  model.int8.onnx\n")
