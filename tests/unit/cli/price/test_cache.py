"""What is kept on disk comes back as it was, or is told and computed again."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from anyio import to_thread

from secondlook.cli.price import fingerprint
from secondlook.cli.price.cache import Reference, ResultCache
from secondlook.cli.price.fingerprint import clip_fingerprint, code_fingerprint, key_of
from secondlook.cli.price.ledger import FrameAnswer, Ledger
from secondlook.cli.price.models import load_model
from secondlook.cli.price.run import Comparison, Plan, price
from secondlook.shared.errors import InvalidConfig
from secondlook.shared.measure import Traffic
from secondlook.shared.values import Detections

NAMES = ("car", "person")
KEY = "0123456789abcdef"


def answers() -> list[Detections]:
    """Three frames; one is empty, one has a class list of its own."""
    return [
        Detections.of([[0, 0, 5, 5], [1, 1, 9, 9]], [0.9, 0.3], [0, 1], NAMES),
        Detections.empty(NAMES),
        Detections.of([[2, 2, 4, 4]], [0.5], [1], ("person", "dog")),
    ]


def ledger() -> Ledger:
    said = [FrameAnswer.once(answer, i / 8) for i, answer in enumerate(answers())]
    return Ledger("cloud_h264", said, 3, 3, 0, Traffic(60, 7, 5, 4, 1), up_bytes=[30, 20, 10])


def rows(detections: Detections) -> list[tuple[object, ...]]:
    return list(
        zip(
            detections.boxes.tolist(),
            detections.scores.tolist(),
            detections.class_names(),
            strict=True,
        )
    )


def test_a_ledger_comes_back_as_it_was(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "deep" / "down")
    before = ledger()
    cache.save_ledger(KEY, before)
    after = cache.load_ledger(KEY, "cloud_h264@crf30", 3)
    assert after is not None
    assert after.name == "cloud_h264@crf30"
    assert [rows(a.final) for a in after.answers] == [rows(a.final) for a in before.answers]
    assert [a.first_s for a in after.answers] == [0.0, 0.125, 0.25]
    assert (after.escalations, after.inferences, after.failures) == (3, 3, 0)
    assert after.traffic == before.traffic
    assert after.up_bytes == [30, 20, 10]
    assert (cache.hits, cache.damaged) == (1, 0)


def test_a_reference_comes_back_with_its_checks(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path)
    cache.save_reference(KEY, Reference(answers(), np.array([1, 2, 2**32 - 1], np.uint32)))
    found = cache.load_reference(KEY)
    assert found is not None
    assert found.checks.tolist() == [1, 2, 2**32 - 1]
    assert [rows(a) for a in found.answers] == [rows(a) for a in answers()]


def test_what_is_not_there_is_not_made_up(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path)
    assert cache.load_ledger(KEY, "x", 3) is None
    assert cache.load_reference(KEY) is None
    assert (cache.hits, cache.damaged) == (0, 0)


def spoilt(data: bytes, how: str) -> bytes:
    if how == "empty":
        return b""
    if how == "cut":
        return data[: len(data) // 2]
    if how == "junk":
        return b"not an archive" * 10
    middle = len(data) // 2
    return data[:middle] + bytes(b ^ 0xFF for b in data[middle : middle + 40]) + data[middle + 40 :]


@pytest.mark.parametrize("how", ["empty", "cut", "junk", "flipped"])
def test_a_damaged_file_is_told_and_not_believed(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = ResultCache(tmp_path)
    cache.save_ledger(KEY, ledger())
    (file,) = tmp_path.iterdir()
    file.write_bytes(spoilt(file.read_bytes(), how))
    assert cache.load_ledger(KEY, "x", 3) is None
    assert cache.damaged == 1
    told = capsys.readouterr()
    assert "computed again" in told.out + told.err
    # What is computed again replaces it.
    cache.save_ledger(KEY, ledger())
    assert cache.load_ledger(KEY, "x", 3) is not None


def test_a_ledger_of_another_length_or_kind_is_not_believed(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path)
    cache.save_ledger(KEY, ledger())
    assert cache.load_ledger(KEY, "x", 4) is None
    cache.save_reference(KEY, Reference(answers(), np.array([1, 2, 3], np.uint32)))
    assert cache.load_ledger(KEY, "x", 3) is None
    assert cache.damaged == 2


def test_boxes_that_no_model_gives_are_not_believed(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path)
    cache.save_ledger(KEY, ledger())
    (file,) = tmp_path.iterdir()
    with np.load(file) as found:
        arrays = {name: found[name] for name in found.files}
    arrays["scores"] = np.full_like(arrays["scores"], np.nan)
    np.savez(file, **arrays)
    assert cache.load_ledger(KEY, "x", 3) is None
    assert cache.damaged == 1


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidConfig, match="--cache"):
        ResultCache(tmp_path / "file" / "folder")


def test_a_full_disk_costs_time_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(file: object, **_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("secondlook.cli.price.cache.np.savez_compressed", full)
    ResultCache(tmp_path).save_ledger(KEY, ledger())
    assert files_in(tmp_path) == []
    told = capsys.readouterr()
    assert "No space left" in told.out + told.err


def test_fingerprints_follow_the_content(tmp_path: Path) -> None:
    one, two = tmp_path / "a.mp4", tmp_path / "b.mp4"
    one.write_bytes(b"x" * 10)
    before = clip_fingerprint(str(one))
    one.write_bytes(b"y" * 10)
    assert clip_fingerprint(str(one)) != before
    two.write_bytes(b"y" * 10)
    folder = clip_fingerprint(str(tmp_path))
    two.write_bytes(b"z" * 10)
    assert clip_fingerprint(str(tmp_path)) != folder
    assert clip_fingerprint("sim://street?seed=1") != clip_fingerprint("sim://street?seed=2")
    assert clip_fingerprint("rtsp://camera/live") is None
    assert clip_fingerprint(str(tmp_path / "missing.mp4")) is None
    assert code_fingerprint() == code_fingerprint()
    assert key_of({"a": 1, "b": None}) == key_of({"b": None, "a": 1}) != key_of({"a": 2, "b": None})


def test_the_code_of_every_baseline_is_in_its_fingerprint() -> None:
    folder = Path(str(fingerprint.price_package.__file__)).parent
    assert all((folder / name).is_file() for name in fingerprint._PRICE)
    # What a baseline imports of this package computes its answers, or only counts and names them.
    counted = {"ledger", "system", "price"}
    for name in ("jpeg.py", "video_stream.py"):
        text = (folder / name).read_text()
        used = set(re.findall(r"from secondlook\.cli\.price\.(\w+) import", text))
        assert used - counted <= {Path(other).stem for other in fingerprint._PRICE}


async def compared(
    clip: Path, light: Path, heavy: Path, cache: Path | None, **more: object
) -> Comparison:
    plan = {
        "analysis_fps": 10.0,
        "max_frames": 4,
        "systems": ("edge", "jpeg", "h265"),
        "cache": cache,
        "cloud_model": str(heavy),
        **more,
    }
    return await price(
        Plan(str(clip), **plan),
        await to_thread.run_sync(load_model, str(light), "--edge-model"),
        await to_thread.run_sync(load_model, str(heavy), "--cloud-model"),
    )


def told(comparison: Comparison) -> list[tuple[object, ...]]:
    """Everything but bytes: a ping of HTTP/2 more or less is no other answer."""
    return [
        (o.name, o.final.agreement, o.final.agreement_all, o.failures)
        for o in comparison.outcomes()
    ]


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def cut_all(folder: Path) -> None:
    for file in files_in(folder):
        file.write_bytes(file.read_bytes()[:-60])


@pytest.mark.anyio
async def test_baselines_run_once_and_everything_else_each_time(
    clip: Path, light: Path, heavy: Path, tmp_path: Path
) -> None:
    first = await compared(clip, light, heavy, tmp_path)
    assert not first.kept
    assert len(files_in(tmp_path)) == 3
    again = await compared(clip, light, heavy, tmp_path)
    assert again.kept == {"cloud_jpeg", "cloud_h265"}
    assert told(again) == told(first)
    by_name = {outcome.name: outcome for outcome in first.outcomes()}
    for outcome in again.outcomes():
        if outcome.name in again.kept:
            assert outcome.uplink_kb_per_frame == by_name[outcome.name].uplink_kb_per_frame
    # Another quality is another result, another rate is another clip.
    other = await compared(clip, light, heavy, tmp_path, h265_crf=40)
    assert other.kept == {"cloud_jpeg"}
    assert not (await compared(clip, light, heavy, tmp_path, analysis_fps=5.0)).kept
    assert not (await compared(clip, light, heavy, None)).kept


@pytest.mark.anyio
async def test_one_damaged_result_costs_only_itself(
    clip: Path, light: Path, heavy: Path, tmp_path: Path
) -> None:
    first = await compared(clip, light, heavy, tmp_path)
    cut_all(tmp_path)
    again = await compared(clip, light, heavy, tmp_path)
    assert not again.kept
    assert told(again) == told(first)
    assert (await compared(clip, light, heavy, tmp_path)).kept == {"cloud_jpeg", "cloud_h265"}


@pytest.mark.anyio
async def test_a_reference_of_other_frames_is_noticed(
    clip: Path,
    light: Path,
    heavy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first = await compared(clip, light, heavy, tmp_path)
    load = ResultCache.load_reference

    def shifted(self: ResultCache, key: str) -> Reference | None:
        found = load(self, key)
        return found and Reference(found.answers, np.roll(found.checks, 1))

    monkeypatch.setattr(ResultCache, "load_reference", shifted)
    again = await compared(clip, light, heavy, tmp_path)
    assert not again.kept
    assert told(again) == told(first)
    shown = capsys.readouterr()
    assert "of other frames" in shown.out + shown.err
