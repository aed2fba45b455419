"""What is offered now, what changed, and what stands while something is broken."""

import shutil
import threading
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import anyio.to_thread
import pytest
from support.model_tree import ModelTree, tiny_onnx

from secondlook.cloud.repository import digests, files, reading, repository
from secondlook.cloud.repository.findings import Finding
from secondlook.cloud.repository.repository import ModelRepository
from secondlook.cloud.repository.snapshot import Snapshot
from secondlook.shared.errors import InvalidConfig, InvalidModel, NotFound


@pytest.fixture
def tree(tmp_path: Path) -> ModelTree:
    return ModelTree(tmp_path / "models")


@pytest.fixture
def told() -> list[Finding]:
    return []


@pytest.fixture
def models(tree: ModelTree, told: list[Finding]) -> ModelRepository:
    return ModelRepository([tree.root], told.append)


def served(snapshot: Snapshot | None) -> dict[str, list[str]]:
    assert snapshot is not None
    return {n: [r.version for r in offer.releases] for n, offer in snapshot.offers.items()}


def settle(models: ModelRepository) -> Snapshot | None:
    """Two polls: what changed is taken up by the second."""
    assert models.poll() is None
    return models.poll()


def reasons(snapshot: Snapshot | None) -> str:
    assert snapshot is not None
    return "\n".join(str(finding) for finding in snapshot.findings)


def test_a_scan_gives_every_model(tree: ModelTree, models: ModelRepository) -> None:
    tree.version("b", 1)
    tree.version("a", 2)
    tree.version("broken", 1, b"no onnx")
    snapshot = models.scan()
    assert served(snapshot) == {"a": ["2"], "b": ["1"]}
    assert list(snapshot.offers) == ["a", "b"]
    assert [finding.model for finding in snapshot.findings] == ["broken"]
    assert models.names() == ("a", "b", "broken")


def test_nothing_changed_costs_stat_calls_alone(
    tree: ModelTree, models: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.version("m", 1)
    tree.config("m", "max_batch_size: 4")
    tree.sums("m", 1)
    models.scan()

    def opened(*_: object, **__: object) -> None:
        pytest.fail("a file was opened")

    with monkeypatch.context() as patched:
        patched.setattr(files, "open_regular", opened)
        patched.setattr(digests, "open_regular", opened)
        patched.setattr(reading, "describe", opened)
        assert [models.poll() for _ in range(3)] == [None, None, None]
    tree.config("m", "max_batch_size: 5")
    snapshot = settle(models)
    assert snapshot is not None
    assert snapshot.offers["m"].config.max_batch == 5


def test_a_new_version_is_taken_up_once_it_is_complete(
    tree: ModelTree, models: ModelRepository
) -> None:
    tree.version("m", 1)
    models.scan()
    data = tiny_onnx(2.0)
    for end in (10, 40, len(data)):
        tree.version("m", 2, data[:end])
        assert models.poll() is None
    assert served(models.poll()) == {"m": ["2"]}
    assert models.poll() is None


def test_a_directory_that_is_moved_into_place(
    tree: ModelTree, models: ModelRepository, tmp_path: Path
) -> None:
    models.scan()
    elsewhere = ModelTree(tmp_path / "elsewhere")
    elsewhere.version("m", 1)
    (elsewhere.root / "m").rename(tree.root / "m")
    assert served(settle(models)) == {"m": ["1"]}


def test_what_is_removed_is_offered_no_more(tree: ModelTree, models: ModelRepository) -> None:
    tree.version("m", 1)
    tree.version("m", 2, gain=2.0)
    tree.version("n", 1)
    models.scan()
    tree.remove("m", 2)
    tree.remove("n")
    assert served(settle(models)) == {"m": ["1"]}
    tree.remove("m", 1)
    # A directory that holds nothing is none of a model.
    assert served(settle(models)) == {}


def test_the_same_content_gives_an_equal_release(tree: ModelTree, models: ModelRepository) -> None:
    file = tree.version("m", 1)
    before = models.scan().offers["m"].releases
    file.touch()
    assert settle(models) is None
    assert models.scan().offers["m"].releases == before


def test_a_corrupt_version_changes_nothing(tree: ModelTree, models: ModelRepository) -> None:
    tree.version("m", 1)
    before = models.scan().offers["m"]
    tree.version("m", 2, tiny_onnx()[:60])
    snapshot = settle(models)
    assert snapshot is not None
    assert snapshot.offers["m"].releases == before.releases
    assert "m/2/model.onnx" in reasons(snapshot)
    tree.version("m", 2, gain=2.0)
    assert served(settle(models)) == {"m": ["2"]}


def test_a_broken_configuration_leaves_the_last_good_offer(
    tree: ModelTree, models: ModelRepository
) -> None:
    tree.version("m", 1)
    tree.config("m", "max_batch_size: 4")
    before = models.scan().offers["m"]
    tree.config("m", "max_batch_siz: 4")
    snapshot = settle(models)
    assert snapshot is not None
    assert snapshot.offers["m"].releases == before.releases
    assert "config.pbtxt:1: max_batch_siz: no such field" in reasons(snapshot)
    tree.config("m", "max_batch_size: 2")
    snapshot = settle(models)
    assert snapshot is not None
    assert snapshot.offers["m"].config.max_batch == 2
    assert snapshot.findings == ()


def test_a_disk_that_is_away_is_no_removal(
    tree: ModelTree, models: ModelRepository, tmp_path: Path
) -> None:
    tree.version("m", 1)
    models.scan()
    tree.root.rename(tmp_path / "away")
    snapshot = settle(models)
    assert served(snapshot) == {"m": ["1"]}
    assert "No such file" in reasons(snapshot)
    (tmp_path / "away").rename(tree.root)
    snapshot = settle(models)
    assert served(snapshot) == {"m": ["1"]}
    assert reasons(snapshot) == ""


def test_other_content_under_a_served_number_is_refused(
    tree: ModelTree, models: ModelRepository
) -> None:
    tree.version("m", 1)
    before = models.scan().offers["m"].releases
    tree.version("m", 1, gain=3.0)
    snapshot = settle(models)
    assert snapshot is not None
    assert snapshot.offers["m"].releases == before
    assert "a version is immutable" in reasons(snapshot)
    assert models.scan().offers["m"].releases == before
    models.forget("m")
    (after,) = models.read("m").releases
    assert after.digest != before[0].digest


def test_shares_hold_beside_a_version_that_changed(
    tree: ModelTree, models: ModelRepository
) -> None:
    tree.version("m", 1)
    tree.version("m", 2, gain=2.0)
    tree.config("m", "version_policy { all {} }")
    before = models.scan().offers["m"].releases
    tree.version("m", 2, gain=3.0)
    tree.config(
        "m",
        """version_policy { all {} }
        parameters { key: "share.1" value { string_value: "1" } }""",
    )
    snapshot = settle(models)
    assert snapshot is not None
    offer = snapshot.offers["m"]
    assert offer.config.shares == {"1": 1.0}
    assert offer.releases[1] == before[1]


def test_after_a_load_that_failed_other_content_may_come(
    tree: ModelTree, models: ModelRepository
) -> None:
    tree.version("m", 1)
    before = models.scan()
    models.forget("m")
    # Until something changes it is offered as before, and not read again and again.
    assert [models.poll() for _ in range(3)] == [None, None, None]
    assert models.scan().offers == before.offers
    models.forget("m")
    tree.version("m", 1, gain=3.0)
    snapshot = settle(models)
    assert snapshot is not None
    assert snapshot.findings == ()
    assert snapshot.offers["m"].releases != before.offers["m"].releases


def test_a_variant_comes_when_it_is_measured(tree: ModelTree, models: ModelRepository) -> None:
    tree.version("m", 1)
    tree.config("m", "parameters { key: 'variant.int8' value { string_value: 'model.int8.onnx' } }")
    tree.file("m", 1, "model.int8.onnx", tiny_onnx(1.01))
    before = models.scan().offers["m"].releases
    assert [release.variant for release in before] == ["fp32"]
    tree.measured("m", 1, "int8", "model.int8.onnx")
    snapshot = settle(models)
    assert snapshot is not None
    assert snapshot.findings == ()
    releases = snapshot.offers["m"].releases
    assert releases[:1] == before
    assert [release.variant for release in releases] == ["fp32", "int8"]


def test_other_content_under_a_refused_number_is_taken(
    tree: ModelTree, models: ModelRepository
) -> None:
    tree.version("m", 1, b"nonsense")
    assert served(models.scan()) == {}
    tree.version("m", 1)
    assert served(settle(models)) == {"m": ["1"]}


def test_a_number_that_was_removed_is_still_taken(tree: ModelTree, models: ModelRepository) -> None:
    tree.version("m", 1)
    tree.version("m", 2, gain=2.0)
    models.scan()
    tree.remove("m", 2)
    assert served(settle(models)) == {"m": ["1"]}
    tree.version("m", 2, gain=5.0)
    snapshot = settle(models)
    assert served(snapshot) == {"m": ["1"]}
    assert "a version is immutable" in reasons(snapshot)


def test_a_model_is_read_when_it_is_asked_for(tree: ModelTree, models: ModelRepository) -> None:
    tree.version("m", 1)
    offer = models.read("m", '{"max_batch_size": 3}')
    assert offer.config.max_batch == 3
    # It holds until it is read without.
    assert models.scan().offers["m"].config.max_batch == 3
    assert models.read("m").config.max_batch == 16


def test_reading_what_cannot_be_served(tree: ModelTree, models: ModelRepository) -> None:
    tree.version("m", 1)
    with pytest.raises(NotFound, match="no model 'n' is in the repository; there are m"):
        models.read("n")
    tree.version("m.detect", 1)
    with pytest.raises(InvalidModel, match="how pictures are sent to the detector 'm'"):
        models.read("m.detect")
    with pytest.raises(InvalidConfig, match="max_batch_siz"):
        models.read("m", '{"max_batch_siz": 3}')
    with pytest.raises(InvalidConfig, match="is not JSON"):
        models.read("m", "{")
    tree.version("m", 1, b"nonsense")
    with pytest.raises(InvalidModel, match=r"m/1/model\.onnx"):
        models.read("m")
    assert models.scan().offers == {}


def test_what_was_offered_stands_when_a_read_fails(
    tree: ModelTree, models: ModelRepository
) -> None:
    tree.version("m", 1)
    before = models.read("m")
    with pytest.raises(InvalidConfig):
        models.read("m", '{"max_batch_size": -3}')
    assert models.scan().offers["m"] == before


def test_each_finding_is_told_once(
    tree: ModelTree, models: ModelRepository, told: list[Finding]
) -> None:
    tree.version("m", 1, b"nonsense")
    models.scan()
    models.scan()
    assert len(told) == 1
    tree.version("m", 1)
    settle(models)
    tree.version("m", 2, b"nonsense")
    settle(models)
    assert [finding.version for finding in told] == ["1", "2"]


def test_a_file_that_changes_while_it_is_read_is_not_taken(
    tree: ModelTree, models: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.version("m", 1)
    stats = iter(range(10**6))
    monkeypatch.setattr(digests, "_identity", lambda found: (next(stats),))
    assert "changed while it was read" in reasons(models.scan())


@pytest.mark.anyio
async def test_changes_come_as_they_happen(
    tree: ModelTree, models: ModelRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.version("m", 1)
    steps: Iterator[None] = iter(())
    pauses: list[float] = []

    def act() -> Iterator[None]:
        tree.version("m", 2, gain=2.0)
        yield
        yield
        tree.remove("m")
        while True:
            yield

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await anyio.to_thread.run_sync(next, steps)

    steps = act()
    monkeypatch.setattr(repository.anyio, "sleep", pause)
    seen = []
    async with aclosing(models.changes(7.0)) as changes:
        async for snapshot in changes:
            seen.append(served(snapshot))
            if len(seen) == 3:
                break
    assert seen == [{"m": ["1"]}, {"m": ["2"]}, {}]
    assert set(pauses) == {7.0}


def test_threads_may_ask_at_once(tree: ModelTree, models: ModelRepository) -> None:
    for number in range(1, 4):
        tree.version("m", number, gain=float(number))
    models.scan()
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for _ in range(20):
                if number % 2:
                    assert [r.version for r in models.read("m").releases] == ["3"]
                else:
                    models.poll()
        except BaseException as error:  # noqa: BLE001 - the test tells it
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_model_that_is_replaced_by_a_file(tree: ModelTree, models: ModelRepository) -> None:
    tree.version("m", 1)
    models.scan()
    shutil.rmtree(tree.root / "m")
    (tree.root / "m").write_text("gone")
    snapshot = settle(models)
    assert served(snapshot) == {}
    assert "is not a directory" in reasons(snapshot)
