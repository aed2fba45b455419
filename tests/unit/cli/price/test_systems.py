"""Every system on a painted clip: it does what its name says, and is counted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from anyio import to_thread
from support.clips import write_clip
from support.gates import branches, certain, gate_file
from support.networks import paint
from support.pricing import with_audits

from secondlook.cli.price.ablations import ABLATIONS
from secondlook.cli.price.changes import changed
from secondlook.cli.price.models import load_model
from secondlook.cli.price.outcome import Outcome
from secondlook.cli.price.plan import Curve
from secondlook.cli.price.run import Comparison, Plan, price
from secondlook.cli.price.specs import Numbers, specs_of, system_keys
from secondlook.edge.control import BudgetSettings
from secondlook.edge.gate.gate_file import save_gate
from secondlook.edge.gate.gate_parts import ModelId
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.errors import InvalidConfig, InvalidInput

pytestmark = pytest.mark.anyio

NO_AUDITS = with_audits(0.0)
NUMBERS = Numbers(85, 30, 23, 26, NO_AUDITS)


async def run(clip: Path, light: Path, heavy: Path, *systems: str, **plan: object) -> Comparison:
    given = {"analysis_fps": 10.0, "pipeline": NO_AUDITS, "verdict_latency_s": 0.15, **plan}
    return await price(
        Plan(str(clip), systems=systems, **given),
        await to_thread.run_sync(load_model, str(light), "--edge-model"),
        await to_thread.run_sync(load_model, str(heavy), "--cloud-model"),
    )


def by_name(comparison: Comparison) -> dict[str, Outcome]:
    return {outcome.name: outcome for outcome in comparison.outcomes()}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six frames of 1280x720, with something that moves and noise that costs bytes."""
    draw = np.random.default_rng(0)

    def frame(number: int) -> np.ndarray:
        image = draw.integers(50, 70, (720, 1280, 3), np.uint8)
        paint(image, (100 + 20 * number, 100, 500 + 20 * number, 500), "car", score=1.0)
        return image

    path = tmp_path_factory.mktemp("wide") / "wide.mp4"
    return write_clip(path, (frame(i) for i in range(6)), fps=10.0)


async def test_streams_travel_at_the_canonical_width_and_native_ones_do_not(
    wide: Path, light: Path, heavy: Path
) -> None:
    keys = ("jpeg", "jpeg-low", "h264", "h265", "h264-native", "h265-native")
    outcomes = by_name(await run(wide, light, heavy, *keys))
    for codec in ("h264", "h265"):
        small, large = outcomes[f"cloud_{codec}"], outcomes[f"cloud_{codec}_native"]
        assert small.uplink_kb_per_frame < 0.6 * large.uplink_kb_per_frame
        # Boxes come back in pixels of the native frame all the same.
        assert small.final.agreement.f1 == large.final.agreement.f1 == 1.0
    jpeg, low = outcomes["cloud_jpeg"], outcomes["cloud_jpeg_low"]
    assert low.uplink_kb_per_frame < jpeg.uplink_kb_per_frame / 3
    assert all(o.cloud_inferences_per_frame == 1 for o in outcomes.values())
    # The bytes of a stream are known frame by frame: no minute has more than the whole clip.
    for outcome in outcomes.values():
        assert outcome.most_kb_in_60_s == pytest.approx(outcome.uplink_kb_per_frame * 6)


async def test_the_score_band_sends_frames_with_a_middling_score(
    clip: Path, light: Path, heavy: Path
) -> None:
    # The light model gives 0.55 and 0.33.
    asked = by_name(await run(clip, light, heavy, "edge", "band"))
    assert asked["score_band"].cloud_inferences_per_frame == 1
    assert asked["score_band"].final.agreement.f1 == 1.0
    assert asked["score_band"].first.agreement == asked["edge_only"].final.agreement
    silent = by_name(await run(clip, light, heavy, "band", band=(0.9, 1.0)))["score_band"]
    assert silent.cloud_inferences_per_frame == silent.uplink_kb_per_frame == 0
    assert silent.final.agreement == asked["edge_only"].final.agreement


async def test_the_oracle_corrects_the_edge_with_few_questions(
    clip: Path, light: Path, heavy: Path
) -> None:
    outcomes = by_name(await run(clip, light, heavy, "edge", "oracle"))
    oracle = outcomes["oracle_gate"]
    assert oracle.final.agreement.f1 > 0.9 > outcomes["edge_only"].final.agreement.f1
    assert 0 < oracle.cloud_inferences_per_frame < 0.6
    edge_f1 = outcomes["edge_only"].final.agreement.f1
    assert oracle.standing.gain == pytest.approx(oracle.final.agreement.f1 - edge_f1)


async def test_the_random_gate_brings_ours_along_and_asks_no_more(
    clip: Path, light: Path, heavy: Path
) -> None:
    outcomes = by_name(await run(clip, light, heavy, "random"))
    assert list(outcomes) == ["random_gate", "secondlook"]
    ours, random = outcomes["secondlook"], outcomes["random_gate"]
    assert 0 < random.escalations_per_frame <= ours.escalations_per_frame


async def test_without_a_background_regions_are_judged_on_grey(
    clip: Path, light: Path, heavy: Path
) -> None:
    outcomes = by_name(await run(clip, light, heavy, "ours", "ours-no-background"))
    assert outcomes["secondlook_no_background"].failures == 0
    assert outcomes["secondlook_no_background"].escalations_per_frame > 0


async def test_a_given_latency_makes_a_comparison_repeatable(
    clip: Path, light: Path, heavy: Path
) -> None:
    one, two = [by_name(await run(clip, light, heavy, "ours"))["secondlook"] for _ in range(2)]
    assert one.first.agreement == two.first.agreement
    assert one.final.agreement == two.final.agreement
    assert one.escalations_per_frame == two.escalations_per_frame
    assert one.final.latency_s.p95 is not None


async def test_a_budget_of_inferences_is_kept(clip: Path, light: Path, heavy: Path) -> None:
    free, poor = [
        by_name(await run(clip, light, heavy, "ours", budget=budget))["secondlook"]
        for budget in (None, BudgetSettings(cloud_per_s=0.2, burst_s=1.0))
    ]
    assert poor.cloud_inferences_per_frame <= free.cloud_inferences_per_frame
    # The least burst is two inferences, and the clip is 1.2 s long.
    assert poor.cloud_inferences_per_frame * 12 <= 3


@pytest.mark.parametrize("carrier", ["canvas", "mosaic"])
async def test_either_carrier_brings_verdicts(
    carrier: str, clip: Path, light: Path, heavy: Path
) -> None:
    ours = by_name(await run(clip, light, heavy, "ours", carrier=carrier))["secondlook"]
    assert ours.failures == 0
    assert ours.escalations_per_frame > 0
    assert ours.final.agreement.true_positives > ours.first.agreement.true_positives


def test_every_key_gives_a_system_with_a_name_of_its_own() -> None:
    specs = specs_of(["all"], NUMBERS)
    names = [spec.name for spec in specs]
    assert len(set(names)) == len(names) == len(system_keys()) - 2
    assert names[0] == "edge_only"
    # Tables are for terminals.
    assert all(len(spec.title) <= 13 for spec in specs)


def test_systems_come_in_the_order_of_tables_and_once() -> None:
    specs = specs_of(["ours", " edge ", "h264", "edge"], NUMBERS)
    assert [spec.name for spec in specs] == ["edge_only", "cloud_h264", "secondlook"]


@pytest.mark.parametrize("keys", [["h266"], ["edge", "Ours"], [], ["", " "]])
def test_wrong_names_are_refused_with_those_that_are_known(keys: list[str]) -> None:
    with pytest.raises(InvalidInput, match="expected some of edge, jpeg"):
        specs_of(keys, NUMBERS)


def test_every_ablation_changes_what_exists_to_what_is_allowed() -> None:
    assert len({ablation.key for ablation in ABLATIONS}) == len(ABLATIONS)
    for ablation in ABLATIONS:
        assert ablation.settings or not ablation.background
        if ablation.available:
            changed(NO_AUDITS, ablation.settings)
    assert "ours-no-background" in system_keys()


def test_a_mechanism_that_is_not_there_has_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    row = dataclasses.replace(ABLATIONS[0], key="no-magic", settings={"gate.magic": 0})
    monkeypatch.setattr("secondlook.cli.price.specs.ABLATIONS", (row,))
    assert not row.available
    assert "ours-no-magic" not in system_keys()


def test_a_curve_has_its_points_beside_the_systems() -> None:
    curve = Curve(taus=(0.1, 0.3), qualities=(60, 80), crfs=(24, 34, 40))
    names = [spec.name for spec in Plan("x", systems=("ours",), curve=curve).specs()]
    assert names[:2] == ["secondlook", "edge_only"]
    assert sum("@tau" in name for name in names) == 4
    assert sum("@crf" in name for name in names) == 6
    tuned = {s.name: s for s in Plan("x", systems=("ours",), curve=curve).specs()}
    pipeline = tuned["secondlook@tau0.3-q60"].pipeline
    assert pipeline is not None
    assert (pipeline.gate.threshold, pipeline.regions.quality) == (0.3, 60)


def test_a_point_that_runs_as_set_does_not_run_twice() -> None:
    tau = PipelineSettings().gate.threshold
    plan = Plan("x", systems=("ours",), curve=Curve(taus=(tau, 0.3), crfs=(24,)))
    names = [spec.name for spec in plan.specs()]
    assert [name for name in names if name.startswith("secondlook")] == [
        "secondlook",
        "secondlook@tau0.3",
    ]
    alone = Plan("x", systems=("edge",), curve=Curve(taus=(tau, 0.3), crfs=(24,)))
    assert sum("@tau" in spec.name for spec in alone.specs()) == 2


async def test_equal_settings_give_equal_answers_under_any_name(
    clip: Path, light: Path, heavy: Path
) -> None:
    audits = with_audits(0.5)
    curve = Curve(taus=(audits.gate.threshold,), crfs=(30,))
    alone = by_name(await run(clip, light, heavy, "ours", pipeline=audits))["secondlook"]
    point = by_name(await run(clip, light, heavy, "edge", pipeline=audits, curve=curve))
    (same,) = [outcome for name, outcome in point.items() if "@tau" in name]
    assert same.escalations_per_frame == alone.escalations_per_frame
    assert same.final.agreement == alone.final.agreement


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gate.ttl": 3}, r"no setting 'gate\.ttl'; did you mean gate\.ttl_s"),
        ({"ttl_s": 3}, "no setting 'ttl_s'"),
        ({"gate": {}}, "no setting 'gate'"),
        ({"gate.max_regions": -1}, r"gate\.max_regions: "),
        ({"gate.max_regions": "many"}, r"gate\.max_regions: "),
    ],
)
def test_settings_that_do_not_exist_or_fit_are_named(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        changed(PipelineSettings(), changes)


async def test_the_gate_file_runs_in_every_system_of_ours(
    clip: Path, light: Path, heavy: Path, tmp_path: Path
) -> None:
    path = tmp_path / "gate.json"

    def write() -> None:
        detector = load_model(str(light), "--edge-model")
        known = ModelId(name=detector.info.name, version=detector.info.version)
        detector.close()
        # It takes every box for nothing, and is unsure of none.
        save_gate(gate_file(light=known, risk=branches(certain(-8.0))), path)

    await to_thread.run_sync(write)
    # Signs of missed objects ask whatever the risk model says.
    kinds = ("blob", "coasting", "prior", "view")
    silent = {f"misses.{kind}_loss": 0.0 for kind in kinds}
    # Nor is a box asked about again on which the tiers disagree.
    once = {"gate.again_factor": 100.0}
    gated = changed(NO_AUDITS, {"gate.file": str(path), **silent, **once})
    outcomes = by_name(await run(clip, light, heavy, "edge", "ours", pipeline=gated))
    assert outcomes["edge_only"].final.agreement.recall == 0.0
    # Without the file the cold start runs, which sees the car.
    bare = by_name(await run(clip, light, heavy, "ours-no-model", pipeline=gated))
    assert bare["secondlook_no_model"].first.agreement.recall > 0.0
    assert outcomes["secondlook"].escalations_per_frame == pytest.approx(1 / 12)
    await to_thread.run_sync(lambda: save_gate(gate_file(), path))
    with pytest.raises(InvalidConfig, match="light model"):
        await run(clip, light, heavy, "edge", pipeline=gated)


def test_the_threshold_of_a_gate_file_is_not_set_by_other_settings() -> None:
    assert "threshold" not in changed(NO_AUDITS, {"gate.ttl_s": 3}).gate.model_fields_set
    assert "threshold" in changed(NO_AUDITS, {"gate.threshold": 0.3}).gate.model_fields_set
