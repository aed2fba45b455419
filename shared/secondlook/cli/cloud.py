"""``secondlook cloud``: run the cloud service."""

from __future__ import annotations

import json
import os
import re
from importlib.util import find_spec
from pathlib import Path

import anyio
import click

from secondlook.shared.errors import MissingDependency


@click.group()
def cloud() -> None:
    """Run the cloud service."""


@cloud.command()
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="Settings file, TOML."
)
@click.option("--model", help="ONNX file (or zoo:NAME) to serve instead of the configured models.")
@click.option("--host", help="Address to listen on instead of server.host.")
@click.option("--port", type=click.IntRange(0, 65535), help="gRPC port; 0 lets the system choose.")
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), help="HTTP port of the metrics; 0 likewise."
)
@click.option("--processes", type=click.IntRange(1, 64), help="Processes that share the port.")
@click.option(
    "--allow-plaintext",
    is_flag=True,
    help="Listen without TLS on an address that is not loopback.",
)
@click.option("--memory", help="URL of the context memory instead of memory.url.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help='Gets {"port", "metrics_port", "pid"} as JSON once calls are answered.',
)
def serve(
    config_file: Path | None,
    model: str | None,
    host: str | None,
    port: int | None,
    metrics_port: int | None,
    processes: int | None,
    allow_plaintext: bool,
    memory: str | None,
    ready_file: Path | None,
) -> None:
    """Serve heavy models and the context memory over gRPC.

    Without settings it serves the demo model on 127.0.0.1:50051, with the context memory in
    ./secondlook-cloud.db. The first SIGTERM or Ctrl-C finishes what was accepted, the second one
    leaves at once.

    \b
    Examples:
      secondlook cloud serve
      secondlook cloud serve --model yolov8s.onnx --port 0 --ready-file ready.json
      secondlook cloud serve --config cloud.toml --processes 4
      SECONDLOOK_CLOUD__MEMORY__URL=redis://localhost secondlook cloud serve
    """
    # gRPC's own log repeats on standard error what our errors say better.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Told here, where it is one line, rather than by each process of several.
    if find_spec("grpc_reflection") is None:
        raise MissingDependency("grpc_reflection", "cloud")
    # Imported here, so that `--help` needs neither gRPC nor the cloud extra.
    from secondlook.cloud.settings import CloudSettings
    from secondlook.shared.settings import load
    from secondlook.shared.telemetry import configure_logging

    environ = {**os.environ, **_variables(model, host, port, metrics_port, processes, memory)}
    if allow_plaintext:
        environ["SECONDLOOK_CLOUD__SERVER__ALLOW_PLAINTEXT"] = "true"
    settings = load(CloudSettings, "cloud", config_file, environ)
    configure_logging(settings.log.level, settings.log.format)
    if settings.server.processes > 1:
        from secondlook.cloud.processes import supervise as run
    else:
        from secondlook.cloud.run import serve as run
    anyio.run(
        run, settings, ready_file, backend_options={"use_uvloop": find_spec("uvloop") is not None}
    )


def _variables(
    model: str | None,
    host: str | None,
    port: int | None,
    metrics_port: int | None,
    processes: int | None,
    memory: str | None,
) -> dict[str, str]:
    """Options win over variables, which win over the file: an option is one more variable."""
    given: dict[str, str] = {}
    if model is not None:
        name = re.sub(r"[^A-Za-z0-9._-]", "-", Path(model.removeprefix("zoo:")).stem).lstrip("._-")
        table = f"{{name = {json.dumps(name or 'model')}, path = {json.dumps(model)}}}"
        given["MODELS"] = f"[{table}]"
    if host is not None:
        given["SERVER__HOST"] = json.dumps(host)
    if port is not None:
        given["SERVER__PORT"] = str(port)
    if metrics_port is not None:
        given["METRICS__PORT"] = str(metrics_port)
    if processes is not None:
        given["SERVER__PROCESSES"] = str(processes)
    if memory is not None:
        given["MEMORY__URL"] = json.dumps(memory)
    return {f"SECONDLOOK_CLOUD__{name}": value for name, value in given.items()}
