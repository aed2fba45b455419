"""The options of ``secondlook price``, and how their values are read."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

from secondlook.cli.price.plan import CRFS, TAUS
from secondlook.cli.price.specs import DEFAULT_SYSTEMS, system_keys
from secondlook.shared.errors import InvalidInput
from secondlook.shared.measure import BLOCK_S, LINKS
from secondlook.shared.measure.link import OUTAGE

EDGE_MODEL, CLOUD_MODEL = "zoo:street_light", "zoo:street_heavy"

Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def _options(*options: Option) -> Option:
    """Several options as one decorator, in the order of the help."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


input_options = _options(
    click.option("--edge-model", default=EDGE_MODEL, show_default=True, help="ONNX, or zoo:NAME."),
    click.option(
        "--cloud-model", default=CLOUD_MODEL, show_default=True, help="ONNX file, or zoo:NAME."
    ),
    click.option(
        "--analysis-fps",
        default="5",
        show_default=True,
        help="Analysed frames a second of the clip's own time; several: 30,10,3.",
    ),
    click.option(
        "--clip-fps",
        type=click.FloatRange(0, 240),
        default=0.0,
        help="Frames a second of a clip whose header lies; default: as its header says.",
    ),
    click.option(
        "--max-frames",
        type=click.IntRange(min=1),
        help="Stop after so many analysed frames; the whole clip where not given.",
    ),
    click.option(
        "--classes",
        help="Class names that count, comma-separated; default: the street set (person, bicycle, "
        "car, motorcycle, bus, truck, bottle) as far as both models know it.",
    ),
)
system_options = _options(
    click.option(
        "--systems",
        default=",".join(DEFAULT_SYSTEMS),
        show_default=True,
        help="What is compared, comma-separated: " + ", ".join(system_keys()) + ".",
    ),
    click.option(
        "--jpeg-quality",
        type=click.IntRange(1, 100),
        default=85,
        show_default=True,
        help="Of jpeg and band.",
    ),
    click.option(
        "--low-jpeg-quality",
        type=click.IntRange(1, 100),
        default=30,
        show_default=True,
        help="Of jpeg-low, at the canonical width.",
    ),
    click.option(
        "--crf",
        type=click.IntRange(0, 51),
        default=23,
        show_default=True,
        help="Of h264; x264 calls this constant rate factor.",
    ),
    click.option(
        "--h265-crf", type=click.IntRange(0, 51), default=26, show_default=True, help="Of h265."
    ),
    click.option(
        "--band",
        default="0.2,0.8",
        show_default=True,
        help="Lowest and highest score at which band sends the frame.",
    ),
)
own_options = _options(
    click.option("--gate", help="Gate file of `secondlook calibrate`."),
    click.option(
        "--tau", type=click.FloatRange(0, 1, min_open=True), help="Threshold of the gate."
    ),
    click.option(
        "--carrier", type=click.Choice(["auto", "canvas", "mosaic"]), help="How regions travel."
    ),
    click.option(
        "--budget-kb-per-s", type=click.FloatRange(min=0), help="Budget of bytes, KB a second."
    ),
    click.option(
        "--cloud-per-s", type=click.FloatRange(min=0), help="Budget of heavy inferences a second."
    ),
    click.option(
        "--set",
        "more",
        multiple=True,
        metavar="SECTION.NAME=VALUE",
        help="Any other setting of the edge's pipeline; may be repeated.",
    ),
    click.option(
        "--verdict-latency",
        default="measured",
        show_default=True,
        help="Seconds from a frame to its verdict, or `measured` on this machine.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Of the audit coin, the random gate, intervals and links.",
    ),
)
output_options = _options(
    click.option("--json", "json_file", help="Write the numbers to this file; - for stdout."),
    click.option("--curve", "curve_file", help="Measure a curve and draw it into this PNG."),
    click.option(
        "--taus",
        default=",".join(f"{tau:g}" for tau in TAUS),
        show_default=True,
        help="Points of ours on the curve.",
    ),
    click.option("--qualities", default="", help="Picture qualities to combine with them."),
    click.option(
        "--crfs",
        default=",".join(map(str, CRFS)),
        show_default=True,
        help="Points of H.264 and H.265 on the curve.",
    ),
    click.option(
        "--report", "report_dir", help="Write report.html and its files into this folder."
    ),
    click.option(
        "--link",
        "links",
        default="",
        help="Play in real time over emulated links as well, comma-separated: "
        + ", ".join([*LINKS, OUTAGE])
        + ".",
    ),
    click.option(
        "--block-s",
        type=click.FloatRange(0, 3600, min_open=True),
        default=BLOCK_S,
        show_default=True,
        help="Length of the blocks of time that intervals are drawn from.",
    ),
    click.option("--cache", "cache_dir", help="Folder for answers of baselines."),
    click.option("--no-cache", is_flag=True, help="Keep nothing, and take nothing that was kept."),
)


def latency_in(text: str) -> float | None:
    """Seconds; ``None`` for ``measured``."""
    if text == "measured":
        return None
    return numbers_in(text, "--verdict-latency", 0, 3600)[0]


def numbers_in(
    text: str, option: str, low: float, high: float, *, empty: bool = False
) -> list[float]:
    """Numbers from a comma-separated list, each once, in its order.

    Raises:
        InvalidInput: not numbers, or out of range; names the option.
    """
    pieces = [piece.strip() for piece in text.split(",") if piece.strip()]
    try:
        numbers = list(dict.fromkeys(float(piece) for piece in pieces))
    except ValueError:
        raise InvalidInput(f"{option} {text!r}: numbers separated by commas expected") from None
    if not numbers and not empty:
        raise InvalidInput(f"{option}: a number is expected")
    for number in numbers:
        if not (math.isfinite(number) and low <= number <= high):
            raise InvalidInput(f"{option} {number:g}: {low:g} to {high:g} expected")
    return numbers


def links_in(text: str) -> tuple[str, ...]:
    """Names of links, each once.

    Raises:
        InvalidInput: one is unknown.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in (*LINKS, OUTAGE)]
    if unknown:
        expected = ", ".join([*LINKS, OUTAGE])
        raise InvalidInput(f"--link: unknown link {unknown[0]!r}; expected {expected}")
    return names
