"""``secondlook price``."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import click
from rich.console import Console

from secondlook.cli.price.passed import has_budget, with_options
from secondlook.cli.price.plan import CRFS, TAUS, Curve, Plan
from secondlook.cli.price.report import Part, facts, render
from secondlook.cli.price.session import Job, run_jobs
from secondlook.cli.price.shapes import as_png
from secondlook.cli.price.specs import DEFAULT_SYSTEMS, system_keys
from secondlook.cli.price.table import sentence
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.errors import InvalidInput
from secondlook.shared.measure import BLOCK_S, LINKS
from secondlook.shared.measure.link import OUTAGE
from secondlook.shared.telemetry import configure_logging

EDGE_MODEL, CLOUD_MODEL = "zoo:street_light", "zoo:street_heavy"

_PAGE_COLUMNS = 110
"""Width of the tables where they go into a file."""

Option = Callable[[Callable[..., Any]], Callable[..., Any]]


def _options(*options: Option) -> Option:
    """Several options as one decorator, in the order of the help."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


_input = _options(
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
_systems = _options(
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
_ours = _options(
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
_output = _options(
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


@click.command()
@click.argument("clip")
@_input
@_systems
@_ours
@_output
def price(
    clip: str,
    edge_model: str,
    cloud_model: str,
    analysis_fps: str,
    clip_fps: float,
    max_frames: int | None,
    classes: str | None,
    systems: str,
    jpeg_quality: int,
    low_jpeg_quality: int,
    crf: int,
    h265_crf: int,
    band: str,
    gate: str | None,
    tau: float | None,
    carrier: str | None,
    budget_kb_per_s: float | None,
    cloud_per_s: float | None,
    more: tuple[str, ...],
    verdict_latency: str,
    seed: int,
    json_file: str | None,
    curve_file: str | None,
    taus: str,
    qualities: str,
    crfs: str,
    report_dir: str | None,
    links: str,
    block_s: float,
    cache_dir: str | None,
    no_cache: bool,
) -> None:
    """What would it cost on my footage, and how much would agree?

    CLIP is a video file, a folder of images, or any other source of frames (sim://street?seed=3).
    No labels are needed: answers are held against what the cloud model sees in the untouched
    frames. Everything really runs: frames are really encoded, sent over loopback gRPC, decoded and
    looked at; bytes are TCP payload as counted on the way (messages, HTTP/2 framing, retries),
    with connection set-up apart. KB is 1000 bytes.

    Read "a→b" as: said at once → when all verdicts were in. Times are measured on this machine,
    from capture to answer. A verdict that took L seconds helps only frames later than that.

    What baselines said is kept (--cache), so that only what is new is computed.

    \b
    Examples:
      secondlook price clip.mp4 --edge-model yolox_nano.onnx --cloud-model yolov8s.onnx
      secondlook price clip.mp4 --analysis-fps 3 --max-frames 200 --json numbers.json
      secondlook price clip.mp4 --systems all --curve curve.png --report report
      secondlook price clip.mp4 --systems edge,ours,ablations --analysis-fps 30,10,3
      secondlook price clip.mp4 --systems edge,ours --link 4g,outage
    """
    configure_logging("warning")
    rates = _numbers(analysis_fps, "--analysis-fps", 0.01, 240)
    budget = _budget(budget_kb_per_s, cloud_per_s, links)
    given = {"--gate": gate, "--tau": tau, "--carrier": carrier}
    pipeline = with_options(
        PipelineSettings(),
        {option: value for option, value in given.items() if value is not None},
        (f"gate.seed={seed}", *more),
    )
    low, high = (_numbers(band, "--band", 0, 1) * 2)[:2]
    curve = None
    if curve_file is not None:
        curve = Curve(
            tuple(_numbers(taus, "--taus", 1e-6, 1)),
            tuple(int(q) for q in _numbers(qualities, "--qualities", 1, 100, empty=True)),
            tuple(int(c) for c in _numbers(crfs, "--crfs", 0, 51)),
        )
    plan = Plan(
        clip=clip,
        analysis_fps=rates[0],
        clip_fps=clip_fps,
        max_frames=max_frames,
        classes=None if classes is None else tuple(classes.split(",")),
        jpeg_quality=jpeg_quality,
        crf=crf,
        pipeline=pipeline,
        systems=tuple(systems.split(",")),
        low_jpeg_quality=low_jpeg_quality,
        h265_crf=h265_crf,
        band=(low, high),
        verdict_latency_s=_latency(verdict_latency),
        seed=seed,
        block_s=block_s,
        curve=curve,
        cache=None if no_cache else Path(cache_dir) if cache_dir else default_cache(),
        cloud_model=cloud_model,
    )
    plan.specs()  # says what is wrong before anything runs
    for option, file in (("--json", json_file), ("--curve", curve_file)):
        if file not in (None, "-"):
            _check_writable(Path(str(file)), option)
    folder = None if report_dir is None else _folder(Path(report_dir))
    job = Job(plan, rates, edge_model, cloud_model, _names(links), budget)
    parts = anyio.run(run_jobs, job)
    # The table goes where it does not mix with JSON on standard output.
    console = Console(stderr=json_file == "-")
    if not console.is_terminal:
        console.width = _PAGE_COLUMNS
    show(parts, console)
    text = json.dumps(document(parts), indent=2) + "\n"
    if json_file == "-":
        click.echo(text, nl=False)
    elif json_file is not None:
        Path(json_file).write_text(text)
    _draw(parts, curve_file)
    if folder is not None:
        (folder / "report.html").write_text(render(parts), encoding="utf-8")
        (folder / "numbers.json").write_text(text)
        if curve_file is not None:
            _draw(parts, str(folder / "curve.png"))


def show(parts: list[Part], console: Console) -> None:
    """Everything in words and tables."""
    for part in parts:
        console.print(f"{part.comparison.plan.clip}:", highlight=False)
        for line in facts(part.comparison):
            console.print(line, highlight=False)
        for table in part.tables():
            console.print(table)
        console.print(sentence(part.shown))


def document(parts: list[Part]) -> dict[str, Any]:
    """The JSON; of several rates, the first one's keys, and all of them under ``rates``."""
    found = []
    for part in parts:
        data = part.comparison.as_json(part.outcomes)
        if part.links:
            data["links"] = [run.as_json() for run in part.links]
        found.append(data)
    return found[0] if len(found) == 1 else {**found[0], "rates": found}


def default_cache() -> Path:
    """Where answers of baselines are kept."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "secondlook/price"


def _draw(parts: list[Part], file: str | None) -> None:
    """One PNG for each rate: the rate goes into the name where there are several."""
    for part in parts:
        drawing = part.drawing()
        if file is None or drawing is None:
            continue
        path = Path(file)
        if len(parts) > 1:
            rate = f"{part.comparison.plan.analysis_fps:g}"
            path = path.with_name(f"{path.stem}-{rate}fps{path.suffix}")
        path.write_bytes(as_png(drawing))


def _budget(kb_per_s: float | None, cloud_per_s: float | None, links: str) -> dict[str, float]:
    given = {"kb_per_s": kb_per_s, "cloud_per_s": cloud_per_s}
    budget = {name: value for name, value in given.items() if value is not None}
    if budget and not has_budget():
        raise InvalidInput(
            "--budget-kb-per-s, --cloud-per-s: the daemon of this version keeps no budget",
            remedy="leave them out",
        )
    return budget


def _latency(text: str) -> float | None:
    if text == "measured":
        return None
    return _numbers(text, "--verdict-latency", 0, 3600)[0]


def _numbers(
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


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    unknown = [name for name in names if name not in (*LINKS, OUTAGE)]
    if unknown:
        expected = ", ".join([*LINKS, OUTAGE])
        raise InvalidInput(f"--link: unknown link {unknown[0]!r}; expected {expected}")
    return names


def _check_writable(path: Path, option: str) -> None:
    """Find out now, not after minutes of computing."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise InvalidInput(
            f"{option} {path}: not a file in a folder that exists",
            remedy="create the folder first",
        )


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"--report {path}: {error.strerror}") from error
    return path
