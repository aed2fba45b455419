"""`secondlook trust` on a memory in a file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import cv2
import numpy as np
import pytest

from secondlook.cli.main import run
from secondlook.cli.memory.target import VARIABLE
from secondlook.cli.trust.gathering import Standing
from secondlook.cli.trust.plot import MOST, ROW, WIDTH, draw, write_plot
from secondlook.cli.trust.table import age, missed
from secondlook.shared.clock import SystemClock
from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.kinds import SiteMode, TrustWindow, context_id
from secondlook.shared.trust import Basis, SiteCertifier, TrustKeeper, TrustSettings

Trust = Callable[..., tuple[int, str, str]]

GRID = (0.0, 0.1, 0.2, 0.4)
SETTINGS = TrustSettings(audit_rate=0.1, window_frames=4000, thresholds=GRID)


@pytest.fixture
def trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Trust:
    """``secondlook trust ARGUMENTS`` in an empty folder: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, "sqlite:///memory.db")

    def call(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run(["trust", *arguments])
        shown = capfd.readouterr()
        return code, shown.out, shown.err

    return call


def told(camera: str, frames: int, misses: list[float], began_s: float) -> list[tuple[str, Any]]:
    """Ids and data of what a camera writes that has seen so many frames, a tenth audited."""
    keeper = TrustKeeper(camera, SETTINGS, Basis("gate-1", "heavy", "7"))
    left = list(misses)
    written = []
    for n in range(frames):
        keeper.frame(n, began_s + n / 10, probability=keeper.audit_rate, audited=n % 10 == 0)
        if n % 10 == 0:
            keeper.outcome(n, left.pop(0) if left else math.inf)
        written += keeper.take_windows()
    written.append(keeper.snapshot())
    return [(context_id(camera, TrustWindow, key), record.document()) for key, record in written]


def remember(records: list[tuple[str, Any]], *, site: bool = False) -> None:
    async def work() -> None:
        store = await SqliteStore.open(Path("memory.db"))
        for record_id, data in records:
            await store.save(record_id, data, 0, writer="edge")
        if site:
            await SiteCertifier(store, writer="cloud").round(SystemClock().wall())
        await store.close()

    anyio.run(work)


def yard() -> list[tuple[str, Any]]:
    began_s = SystemClock().wall() - 3600
    return [
        *told("yard/gate", 8500, [], began_s),
        *told("yard/door", 4100, [0.0] + [math.inf] * 100, began_s),
        *told("roof/Tür", 300, [0.3], began_s),
        ("yard/gate/note/1", {"text": "no window"}),
    ]


def test_a_table_and_the_reasons(trust: Trust) -> None:
    remember(yard())
    code, out, _ = trust()
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines() if "/" in line.split(" ")[0]}
    assert "certified" in out
    gate = next(line for line in out.splitlines() if line.startswith("yard/gate "))
    assert gate.split()[1:5] == ["certified", "0.4", "1.00%", "0.746%"]
    assert "500 so far" in gate
    assert "uncertified" in lines["yard/door"] or "uncertified" in out
    assert "yard/door: 1 of 400 frames looked at missed an object even at threshold 0.1" in out
    assert "roof/Tür: the first window fills; a certificate takes 299 audits" in out
    assert "0 misses in 400 audits of 4000 frames" in out


def test_how_each_camera_works_and_why(trust: Trust) -> None:
    at_s = SystemClock().wall()
    gate = SiteMode(at_s=at_s, mode="edge", settled=True, reasons=("the gate gains nothing",))
    door = SiteMode(at_s=at_s, mode="canvas", reasons=("3 of the first 100 audits",))
    broken = {**door.document(), "mode": "half"}
    remember(
        [
            (context_id("yard/gate", SiteMode, "mode"), gate.document()),
            (context_id("yard/door", SiteMode, "mode"), door.document()),
            (context_id("yard/well", SiteMode, "mode"), broken),
        ]
    )
    code, out, err = trust()
    assert code == 0
    assert "yard/gate works as edge\n  the gate gains nothing" in out
    assert "yard/door works as canvas, not proved yet\n  3 of the first 100 audits" in out
    assert "1 records cannot be read: yard/well/selftest/mode" in err
    _, out, _ = trust("yard/gate/", "--json")
    assert json.loads(out)["modes"] == {"yard/gate": gate.document()}


def test_a_prefix_narrows(trust: Trust) -> None:
    remember(yard())
    code, out, _ = trust("roof/")
    assert code == 0
    assert "roof/Tür" in out
    assert "yard" not in out
    code, out, err = trust("cellar/")
    assert (code, out) == (0, "")
    assert "no camera under cellar/ has written of its trust yet" in err


def test_json_has_all_windows_and_the_certificate(trust: Trust) -> None:
    remember(yard())
    code, out, _ = trust("--json")
    assert code == 0
    said = {entry["name"]: entry for entry in json.loads(out)["standings"]}
    assert list(said) == ["roof/Tür", "yard/door", "yard/gate"]
    gate = said["yard/gate"]
    assert gate["certificate"]["tau"] == 0.4
    assert gate["certificate"]["basis"] == {
        "gate": "gate-1", "model": "heavy", "model_version": "7",
    }  # fmt: skip
    assert [window["frames"] for window in gate["windows"]] == [4000, 4000, 500]
    assert said["yard/door"]["certificate"] is None
    assert said["roof/Tür"]["state"] == "learning"


def test_the_site_stands_beside_its_cameras(trust: Trust) -> None:
    remember(yard(), site=True)
    code, out, _ = trust("yard/")
    assert code == 0
    assert "yard (site of 2 cameras)" in out
    assert "1200 audits of 2 cameras" in out
    code, out, _ = trust("--json", "yard/")
    site = json.loads(out)["standings"][0]
    assert (site["name"], site["of_site"], site["state"]) == ("yard", True, "certified")
    assert site["certificate"]["cameras"] == ["yard/door", "yard/gate"]


def test_records_that_cannot_be_read_are_told(trust: Trust) -> None:
    remember([*yard(), ("yard/gate/trust/zzz", {"schema": 1, "frames": -1})])
    code, out, err = trust("yard/gate/")
    assert code == 0
    assert "certified" in out
    assert "1 records cannot be read: yard/gate/trust/zzz" in err
    _, out, _ = trust("--json")
    assert json.loads(out)["skipped"] == ["yard/gate/trust/zzz"]


def test_a_memory_that_is_not_there_is_told(trust: Trust) -> None:
    code, _, err = trust()
    assert code == 4
    assert "does not exist" in err


def test_a_picture_shows_bounds_and_windows(trust: Trust, tmp_path: Path) -> None:
    remember(yard(), site=True)
    code, _, err = trust("--plot", "trust.png")
    assert code == 0
    assert "trust.png: 4 cameras and sites" in err
    picture = cv2.imread(str(tmp_path / "trust.png"))
    assert picture is not None
    assert picture.shape == (4 * ROW, WIDTH, 3)
    for row in range(4):
        part = picture[row * ROW : (row + 1) * ROW]
        assert (part < 128).any(axis=2).sum() > 500, f"row {row} is empty"


def window(**changes: Any) -> TrustWindow:
    fields: dict[str, Any] = {
        "started_s": 0.0,
        "at_s": 1.0,
        "alpha": 0.01,
        "delta": 0.05,
        "gate": "g",
        "model": "m",
        "model_version": "",
        "thresholds": GRID,
        "misses": (0, 0, 0, 0),
        "known_misses": (0, 0, 0, 0),
    }
    return TrustWindow(**{**fields, **changes})


@pytest.mark.parametrize(
    "shown",
    [
        window(),
        window(frames=100, audits=3),
        window(frames=100, audit_rate=0.1, audits=10, misses=(0, 10, 10, 10), ended_s=1.0),
        window(frames=50, known=50, known_misses=(0, 1, 2, 50), ended_s=1.0),
        window(frames=100, audit_rate=0.1, ended_s=1.0, spoilt="cut", state="alarm"),
    ],
)
def test_any_window_can_be_drawn(shown: TrustWindow) -> None:
    picture = draw([Standing("yard/gate", (shown,), None)])
    assert picture.shape == (ROW, WIDTH, 3)
    assert picture.min() < 128


def test_the_promise_is_a_line_and_the_bound_another(tmp_path: Path) -> None:
    shown = window(frames=40_000, audit_rate=0.01, audits=400, ended_s=1.0, certified_tau=0.4)
    bare = draw([Standing("c", (window(),), None)])
    picture = draw([Standing("c", (shown,), None)])
    left = slice(80, WIDTH // 2 - 40)
    changed = (picture[:, left] != bare[:, left]).any(axis=2)
    assert changed.sum() > 300


def test_only_so_many_are_drawn_those_in_trouble_first(tmp_path: Path) -> None:
    standings = [Standing(f"yard/{n:02}", (window(state="certified"),), None) for n in range(20)]
    standings.append(Standing("yard/99", (window(state="alarm"),), None))
    path = tmp_path / "many.png"
    assert write_plot(standings, path) == MOST
    picture = cv2.imread(str(path))
    assert picture is not None
    np.testing.assert_array_equal(picture[:ROW], draw(standings[-1:]))


@pytest.mark.parametrize("name", ["trust.svg", "trust", "missing/trust.png"])
def test_pictures_that_cannot_be_written_are_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        write_plot([Standing("c", (window(),), None)], tmp_path / name)


def test_misses_are_those_at_the_threshold_in_force() -> None:
    counted = window(frames=100, audits=9, misses=(0, 1, 2, 9), tau=0.39)
    assert missed(counted) == 2
    assert missed(counted.model_copy(update={"tau": 0.0})) == 0


def test_ages_are_short() -> None:
    told = [age(seconds) for seconds in (-3600, 0, 59, 60, 7200, 3 * 86_400)]
    assert told == ["in the future", "0 s", "59 s", "1 m", "2 h", "3 d"]
