"""``secondlook edge``: run the edge daemon."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import click


@click.group()
def edge() -> None:
    """Run the edge daemon."""


@edge.command()
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="Settings file, TOML. Without one, --camera and variables say everything.",
)
@click.option(
    "--camera",
    "cameras",
    multiple=True,
    metavar="[ID=]URL",
    help="A camera instead of those of the settings; may be repeated.",
)
@click.option("--model", help="ONNX file, or zoo:NAME, instead of detector.model.")
@click.option("--cloud", metavar="HOST:PORT", help="The cloud service, instead of uplink.address.")
@click.option("--no-cloud", is_flag=True, help="Never ask the cloud.")
@click.option(
    "--jsonl", metavar="FILE", help="Write answers there too, as JSON lines; - is stdout."
)
@click.option(
    "--max-frames", type=click.IntRange(1), help="Stop after so many frames of each camera."
)
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Stop after that time.")
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), help="HTTP port of the metrics; 0 for any."
)
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help='Gets {"metrics_port", "pid", "cameras"} as JSON once the cameras are started.',
)
@click.option(
    "--progress/--no-progress",
    default=None,
    help="A live table instead of log lines; default: where standard error is a terminal.",
)
def run(
    config_file: Path | None,
    cameras: tuple[str, ...],
    model: str | None,
    cloud: str | None,
    no_cloud: bool,
    jsonl: str | None,
    max_frames: int | None,
    seconds: float | None,
    metrics_port: int | None,
    ready_file: Path | None,
    progress: bool | None,
) -> None:
    """Answer every frame of the cameras at once, and ask the cloud about what is unsure.

    It ends when all recordings have ended; live cameras never do. The first SIGTERM or Ctrl-C
    waits for open verdicts and flushes the sinks, the second one leaves at once.

    \b
    Examples:
      secondlook edge run --config edge.toml
      secondlook edge run --camera gate=rtsp://user:secret@10.0.0.7/stream --cloud 127.0.0.1:50051
      secondlook edge run --camera clip.mp4 --model yolox_nano.onnx --no-cloud --jsonl -
      secondlook edge run --camera 'sim://street?seed=7' --seconds 60
    """
    # gRPC's own log repeats on standard error what our errors say better.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Imported here, so that `--help` needs neither gRPC nor the edge extra.
    from secondlook.edge.settings import EdgeSettings
    from secondlook.shared.settings import load
    from secondlook.shared.telemetry import configure_logging

    given = _variables(cameras, model, cloud, no_cloud, jsonl, metrics_port)
    settings = load(EdgeSettings, "edge", config_file, {**os.environ, **given})
    live = sys.stderr.isatty() if progress is None else progress
    # Beside a live table only what went wrong is logged.
    level = "warning" if live and settings.log.level == "info" else settings.log.level
    configure_logging(level, settings.log.format)

    # The heavy libraries come last: wrong settings are told at once.
    from secondlook.edge.daemon import Limits
    from secondlook.edge.run import run_edge

    async def main() -> None:
        await run_edge(
            settings, limits=Limits(max_frames, seconds), ready_file=ready_file, progress=live
        )

    anyio.run(main)


def _variables(
    cameras: tuple[str, ...],
    model: str | None,
    cloud: str | None,
    no_cloud: bool,
    jsonl: str | None,
    metrics_port: int | None,
) -> dict[str, str]:
    """Options win over variables, which win over the file: an option is one more variable."""
    given: dict[str, str] = {}
    if cameras:
        given["CAMERAS"] = _toml([_camera(text, i) for i, text in enumerate(cameras)])
    if model is not None:
        given["DETECTOR__MODEL"] = json.dumps(model)
    if cloud is not None:
        given["UPLINK__ADDRESS"] = json.dumps(cloud)
    if no_cloud:
        given["UPLINK__ENABLED"] = "false"
    if jsonl is not None:
        given["SINKS__JSONL"] = _toml([{"path": jsonl}])
    if metrics_port is not None:
        given["METRICS__PORT"] = str(metrics_port)
    return {f"SECONDLOOK_EDGE__{name}": value for name, value in given.items()}


def _camera(text: str, index: int) -> dict[str, Any]:
    """``ID=URL``, or a bare URL: an equals sign inside a URL belongs to it."""
    name, equals, url = text.partition("=")
    if equals and name.replace("-", "").replace("_", "").replace("/", "").isalnum():
        return {"id": name, "url": url}
    return {"id": f"camera{index + 1}", "url": text}


def _toml(tables: list[dict[str, Any]]) -> str:
    """Inline TOML tables of strings; JSON strings are TOML strings."""
    rows = [
        "{" + ", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items()) + "}"
        for table in tables
    ]
    return "[" + ", ".join(rows) + "]"
