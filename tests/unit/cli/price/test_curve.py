"""What the curve says, how it is drawn, and the page around it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from io import StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from anyio import to_thread
from rich.console import Console

from secondlook.cli.price.chart import curve_drawing
from secondlook.cli.price.curve import Verdicts, judged
from secondlook.cli.price.models import load_model
from secondlook.cli.price.outcome import Outcome, Stage
from secondlook.cli.price.over_link import LinkRun
from secondlook.cli.price.plan import Curve
from secondlook.cli.price.report import Part, budget_line, render
from secondlook.cli.price.run import Plan, price
from secondlook.cli.price.session import line_of
from secondlook.cli.price.shapes import COLOURS, Dot, Drawing, Line, Text, as_png, as_svg
from secondlook.cli.price.specs import Kind, Spec
from secondlook.cli.price.standing import Standing
from secondlook.cli.price.table import curve_tables, link_table
from secondlook.edge.control import BudgetSettings
from secondlook.shared.measure import LINKS, Counts, Interval, spread


def outcome(name: str, kb: float, f1: float, gain: Interval | None = None) -> Outcome:
    """A system with a final F1 of ``f1``, in thousandths."""
    wrong = round((1 - f1) * 1000)
    counts = Counts(round(f1 * 1000), wrong, wrong)
    stage = Stage(counts, counts, None, spread([0.1]))
    return Outcome(
        name,
        stage,
        stage,
        100,
        kb,
        0.1,
        10 * kb,
        0.5,
        0.2,
        0.2,
        0,
        Standing(f1, Interval(f1 - 0.02, min(1.0, f1 + 0.02)), f1 - 0.85, gain),
    )


def stream(kind: Kind, crf: int, width_px: int | None = 640) -> Spec:
    name = f"cloud_{kind.value}@crf{crf}"
    return Spec(kind, name, name, crf=crf, width_px=width_px, point=f"crf {crf}")


def verdicts(ours: list[tuple[float, float]]) -> tuple[Verdicts, list[Outcome]]:
    """Points of ours against H.264 at 1, 2, 4 KB and an H.265 that is cheaper at the top."""
    streams = {
        stream(Kind.H264, 40): (1.0, 0.80),
        stream(Kind.H264, 32): (2.0, 0.90),
        stream(Kind.H264, 24): (4.0, 0.94),
        stream(Kind.H265, 40): (1.5, 0.80),
        stream(Kind.H265, 24): (3.0, 0.96),
        # At its native width a stream counts for nothing here.
        stream(Kind.H264, 51, None): (0.01, 0.99),
    }
    specs = {spec.name: spec for spec in streams}
    outcomes = [outcome(spec.name, *place) for spec, place in streams.items()]
    outcomes.append(outcome("edge_only", 0.0, 0.85))
    for i, (kb, f1) in enumerate(ours):
        name = f"secondlook@tau{i}"
        specs[name] = Spec(Kind.OURS, name, name, point=f"τ {i}")
        outcomes.append(outcome(name, kb, f1, Interval(f1 - 0.86, f1 - 0.84)))
    return judged(outcomes, specs), outcomes


def test_each_point_is_held_against_the_cheapest_stream() -> None:
    found, _ = verdicts([(2.5, 0.95), (0.9, 0.85), (0.1, 0.82), (9.0, 0.97)])
    low, middle, high, top = found.points
    assert found.edge_f1 == pytest.approx(0.85)
    # Below the edge: no points are sold as a gain.
    assert (low.no_worse, low.surely_worse) == (False, True)
    assert (middle.no_worse, middle.surely_worse) == (True, False)
    # Halfway between 0.80 at 1 KB and 0.90 at 2 KB; H.265 needs more.
    assert (middle.stream, middle.needs.kb) == ("H.264", pytest.approx(1.5))
    assert middle.share == pytest.approx(0.6)
    assert middle.cheaper
    # At the top H.265 is the cheapest.
    assert (high.stream, high.needs.kb) == ("H.265", pytest.approx(2.90625))
    assert top.needs.kb is None
    assert top.share is None
    assert top.cheaper
    data = found.as_json()
    assert [point["no_more_than_stream"] for point in data["points"]] == [True] * 4
    assert data["points"][3]["best_stream"] is None
    assert len(data["streams"]["H.264"]) == 3


def test_a_point_that_costs_more_is_not_praised() -> None:
    found, _ = verdicts([(1.6, 0.85)])
    assert not found.points[0].cheaper
    assert found.points[0].share == pytest.approx(1.6 / 1.5)


def test_tables_of_a_curve_fit_a_terminal() -> None:
    found, _ = verdicts([(2.5, 0.95), (0.1, 0.7), (9.0, 0.97)])
    text = StringIO()
    console = Console(file=text, width=80)
    for table in curve_tables(found):
        console.print(table)
    shown = text.getvalue()
    assert "…" not in shown
    assert "not reached" in shown
    assert "≤ 1.00 H.264" in shown
    assert "no, surely" in shown


def drawing(ours: list[tuple[float, float]]) -> Drawing:
    found, outcomes = verdicts(ours)
    outcomes += [outcome("oracle_gate", 0.5, 0.96), outcome("cloud_jpeg", 30.0, 0.97)]
    return curve_drawing(found, outcomes, title="clip: agreement", subtitle="100 frames <b>")


@pytest.mark.parametrize("ours", [[], [(0.5, 0.9)], [(0.0, 0.85), (900.0, 0.2), (3.0, 1.0)]])
def test_a_curve_stays_on_its_paper(ours: list[tuple[float, float]]) -> None:
    paper = drawing(ours)
    for shape in paper.shapes:
        places = shape.points if isinstance(shape, Line) else ((shape.x, shape.y),)
        for x, y in places:
            assert 0 <= x <= paper.width
            assert 0 <= y <= paper.height
    assert {"H.264", "H.265", "Secondlook"} <= {
        shape.text for shape in paper.shapes if isinstance(shape, Text)
    }


def test_png_and_svg_show_the_same() -> None:
    paper = drawing([(0.5, 0.9), (1.0, 0.92)])
    image = cv2.imdecode(np.frombuffer(as_png(paper), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (2 * paper.height, 2 * paper.width, 3)
    dots = [shape for shape in paper.shapes if isinstance(shape, Dot) and shape.colour == "ours"]
    assert len(dots) == 3  # two points, and one in the legend
    for dot in dots:
        blue, green, red = image[round(2 * dot.y), round(2 * dot.x)].tolist()
        assert f"#{red:02x}{green:02x}{blue:02x}" == COLOURS["ours"]
    root = ET.fromstring(as_svg(paper))
    assert len(root.findall("circle")) == sum(isinstance(s, Dot) for s in paper.shapes)
    assert "100 frames <b>" in "".join(root.itertext())


def link_run() -> LinkRun:
    return LinkRun(
        LINKS["4g"],
        12,
        11,
        outcome("secondlook", 1.0, 0.9),
        0.25,
        spread([0.4, 0.8]),
        spread([0.2]),
        1,
        2,
        3,
        55.0,
        210.0,
    )


def test_a_link_is_told_in_a_row_and_in_json() -> None:
    text = StringIO()
    Console(file=text, width=110).print(link_table([link_run()]))
    shown = text.getvalue()
    assert "11 / 12" in shown
    assert "600 / 780" in shown
    assert "200 / 200" in shown
    assert "55.0 of 210.0" in shown
    data = link_run().as_json()
    assert (data["link"], data["rtt_ms"], data["revised_p50_ms"]) == ("4g", 60.0, 600.0)
    assert (data["lost_questions"], data["offline_questions"], data["unpaid_questions"]) == (
        1,
        2,
        3,
    )


@pytest.mark.anyio
async def test_a_page_holds_everything_and_believes_nothing(
    clip: Path, light: Path, heavy: Path
) -> None:
    plan = Plan(
        str(clip),
        analysis_fps=10.0,
        max_frames=3,
        systems=("edge", "ours"),
        curve=Curve(taus=(0.1,), crfs=(30,)),
        verdict_latency_s=0.1,
    )
    comparison = await price(
        plan,
        await to_thread.run_sync(load_model, str(light), "--edge-model"),
        await to_thread.run_sync(load_model, str(heavy), "--cloud-model"),
    )
    comparison = replace(comparison, plan=replace(plan, clip="<script>alert(1)</script>"))
    part = Part(comparison, comparison.outcomes(), [link_run()])
    page = await to_thread.run_sync(render, [part])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<table>") == len(part.tables()) == 7
    assert LINKS["4g"].source.replace("'", "&#x27;") in page
    assert "points of Secondlook" in page
    # Points of the curve are in its own tables, not among the systems.
    assert [o.name for o in part.shown] == ["edge_only", "secondlook"]


@pytest.mark.parametrize(
    ("frames", "total", "elapsed_s", "line"),
    [
        (10, 100, 20.0, "x: 10 of 100 frames, 2.00 s each, about 3 min left"),
        (90, 100, 90.0, "x: 90 of 100 frames, 1.00 s each, 10 s left"),
        (100, 100, 100.0, "x: 100 of 100 frames, 1.00 s each"),
        (5, None, 10.0, "x: 5 frames, 2.00 s each"),
    ],
)
def test_progress_says_when_it_will_be_done(
    frames: int, total: int | None, elapsed_s: float, line: str
) -> None:
    assert line_of("x", frames, total, elapsed_s) == line


def test_a_budget_is_told_with_what_was_spent() -> None:
    ours = replace(outcome("secondlook", 1.0, 0.9), most_kb_in_60_s=61.25, unpaid=4)
    line = budget_line(BudgetSettings(kb_per_s=1.0, cloud_per_s=2.0), [ours])
    assert "1 KB a second and 2 heavy inferences a second" in line
    assert "Most within 60 s: 61.2 KB of 70.0 allowed; 4 questions were not asked" in line
    assert budget_line(BudgetSettings(cloud_per_s=2.0), []).endswith("2 heavy inferences a second.")


def test_where_the_truth_is_known_the_curve_is_of_it() -> None:
    found, outcomes = verdicts([(2.0, 0.9)])
    assert found.against == "reference"
    specs = {o.name: Spec(Kind.OURS, o.name, "") for o in outcomes if o.name.startswith("second")}
    true = [replace(o, truth=replace(o.agreement, f1=o.agreement.f1 - 0.1)) for o in outcomes]
    specs = {name: replace(spec, point="x") for name, spec in specs.items()}
    held = judged(true, specs)
    assert held.against == "truth"
    assert held.edge_f1 == pytest.approx(0.75)
    assert held.points[0].as_json()["f1"] == pytest.approx(0.8)
