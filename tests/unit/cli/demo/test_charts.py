"""Charts are well-formed, inside their frame, and escape what they show."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from secondlook.cli.demo.charts import Line, Point, price_chart, time_chart

CROWD = [
    Point("edge_only", "edge only", 0.0, 0.78, 0.78),
    Point("cloud_jpeg", "cloud, JPEG", 45.0, 0.93, 0.93),
    Point("cloud_h264", "cloud, H.264", 18.0, 0.925, 0.925),
    Point("secondlook", "Secondlook", 4.2, 0.80, 0.92),
]


def numbers(svg: str, attribute: str) -> list[float]:
    return [float(value) for value in re.findall(rf' {attribute}="(-?[0-9.]+)"', svg)]


def test_the_price_chart_orders_systems_by_bytes_and_quality() -> None:
    svg = price_chart(CROWD)
    ET.fromstring(svg)
    at = {
        key: (float(x), float(y))
        for key, x, y in re.findall(r'class="dot (\w+)" cx="([0-9.]+)" cy="([0-9.]+)"', svg)
    }
    by_bytes = sorted(at, key=lambda key: at[key][0])
    assert by_bytes == ["edge_only", "secondlook", "cloud_h264", "cloud_jpeg"]
    by_quality = sorted(at, key=lambda key: -at[key][1])
    assert by_quality == ["edge_only", "secondlook", "cloud_h264", "cloud_jpeg"]
    # Only Secondlook changed its mind.
    assert svg.count('class="hollow') == svg.count('class="arrow') == 1


def test_no_label_covers_a_dot_or_another_label() -> None:
    svg = price_chart(CROWD)
    dots = [(x, y) for x, y in zip(*(numbers(svg, a) for a in ("cx", "cy")), strict=True)]
    labels = [
        (float(x), float(y) - 12, float(x) + 7.6 * len(text), float(y) + 3)
        for x, y, text in re.findall(r'class="name \w+" x="([0-9.]+)" y="([0-9.]+)">([^<]+)', svg)
    ]
    assert len(labels) == 4
    for i, (left, top, right, bottom) in enumerate(labels):
        assert left > 0
        assert right < 560
        assert not [d for d in dots if left < d[0] < right and top < d[1] < bottom]
        for other in labels[i + 1 :]:
            apart_x = right <= other[0] or other[2] <= left
            assert apart_x or bottom <= other[1] or other[3] <= top


@pytest.mark.parametrize(
    "points",
    [
        [Point("edge_only", "a", 0.0, 0.0, 0.0)],
        [Point("edge_only", "a", 0.0, 1.0, 1.0), Point("secondlook", "b", 500.0, 0.0, 1.0)],
    ],
)
def test_extremes_stay_inside(points: list[Point]) -> None:
    svg = price_chart(points)
    ET.fromstring(svg)
    assert all(0 <= x <= 560 for x in numbers(svg, "cx"))
    assert all(0 <= y <= 320 for y in numbers(svg, "cy"))


def test_the_time_chart_draws_each_line_and_names_it() -> None:
    lines = [
        Line("first", "at <once>", [(0.0, 0.5), (30.0, 0.7), (60.0, 0.6)]),
        Line("edge_only", "edge", [(0.0, 0.4)], dashed=True),
    ]
    html = time_chart(lines)
    ET.fromstring(f"<div>{html}</div>")
    assert html.count("<polyline") == 2
    assert "at &lt;once&gt;" in html
    assert "dashed" in html
    assert time_chart([]) == ""
