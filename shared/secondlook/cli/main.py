"""``secondlook``: the command, its subcommands loaded when they are used.

Exit codes: 0 done; 1 unexpected, with an incident id; 2 wrong usage, input, settings or model;
3 an optional library is missing; 4 something could not be reached; 130 interrupted.
"""

from __future__ import annotations

import os
import secrets
import sys
import traceback
from collections.abc import Sequence
from importlib.metadata import version

import click

from secondlook.cli.lazy import LazyGroup
from secondlook.shared.errors import (
    InvalidInput,
    MissingDependency,
    SecondlookError,
    SourceError,
    StoreError,
    Unavailable,
)

EXIT_UNEXPECTED = 1
EXIT_USAGE = 2
EXIT_MISSING_DEPENDENCY = 3
EXIT_UNREACHABLE = 4
EXIT_INTERRUPTED = 130

_COMMANDS = {
    "bench": ("secondlook.cli.bench.command:bench", "Measure against a baseline of the same run."),
    "calibrate": ("secondlook.cli.calibrate.command:command", "Train a gate on my footage."),
    "cloud": ("secondlook.cli.cloud:cloud", "Run the cloud service."),
    "config": ("secondlook.cli.config:config", "Show, check and describe settings."),
    "demo": ("secondlook.cli.demo.command:demo", "A minute of a simulated street, both tiers."),
    "doctor": ("secondlook.cli.doctor.command:doctor", "Find what is wrong, hop by hop."),
    "edge": ("secondlook.cli.edge:edge", "Run the edge daemon."),
    "explain": ("secondlook.cli.decisions.explain:explain", "Why was a frame sent, or not?"),
    "memory": ("secondlook.cli.memory.command:memory", "Look into and change the context memory."),
    "models": ("secondlook.cli.models.command:models", "Look into and check model repositories."),
    "price": ("secondlook.cli.price.command:price", "What would it cost on my footage?"),
    "replay": ("secondlook.cli.decisions.replay:replay", "What would another policy have cost?"),
    "train": ("secondlook.cli.train:train", "Train the demo models."),
    "trust": ("secondlook.cli.trust.command:trust", "What is promised, and is it proved?"),
}

# Top-level module of a library -> the extra that brings it.
EXTRA_OF_MODULE = {
    "av": "edge",
    "imagesize": "edge",
    "scipy": "edge",
    "grpc_reflection": "cloud",
    "psutil": "cloud",
    "pynvml": "cloud",
    "redis": "cloud",
    "river": "cloud",
    "ray": "ray",
    "ultralytics": "torch",
    "torch": "train",
    "onnx": "train",
}


@click.group(
    cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(version("secondlook"), prog_name="secondlook")
def cli() -> None:
    """Cameras think on the spot, and ask the cloud for a second look only when unsure.

    \b
    Examples:
      secondlook demo
      secondlook price clip.mp4 --edge-model light.onnx --cloud-model heavy.onnx
      secondlook cloud serve --config cloud.toml
      secondlook edge run --config edge.toml
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit with its code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; errors become one line on standard error."""
    try:
        result = cli.main(arguments, prog_name="secondlook", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return EXIT_USAGE
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except BaseException as error:  # noqa: BLE001 - the last line of defence of the process
        return _report(error)
    return result if isinstance(result, int) else 0


def _report(error: BaseException) -> int:
    cause = _single(error)
    if isinstance(cause, SystemExit):
        return cause.code if isinstance(cause.code, int) else EXIT_UNEXPECTED
    if isinstance(cause, (KeyboardInterrupt, click.Abort)):
        return EXIT_INTERRUPTED
    if isinstance(cause, click.ClickException):
        cause.show()
        return EXIT_USAGE
    if isinstance(cause, BrokenPipeError):
        # The reader of our output has left (`| head`); nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(cause, ModuleNotFoundError):
        # Commands import what they need when they are run, so this is where it is missed.
        missing = (cause.name or "").partition(".")[0]
        if missing in EXTRA_OF_MODULE:
            cause = MissingDependency(missing, EXTRA_OF_MODULE[missing])
    if isinstance(cause, SecondlookError):
        click.echo(f"error: {cause}", err=True)
        if isinstance(cause, InvalidInput):
            return EXIT_USAGE
        if isinstance(cause, MissingDependency):
            return EXIT_MISSING_DEPENDENCY
        if isinstance(cause, (Unavailable, SourceError, StoreError)):
            return EXIT_UNREACHABLE
        return EXIT_UNEXPECTED
    incident = secrets.token_hex(6)
    click.echo("".join(traceback.format_exception(error)), err=True)
    click.echo(f"error: unexpected {type(cause).__name__}, incident {incident}", err=True)
    return EXIT_UNEXPECTED


def _single(error: BaseException) -> BaseException:
    """The error inside a group of one: task groups wrap what went wrong in them."""
    inner = getattr(error, "exceptions", None)
    while inner is not None and len(inner) == 1:
        error = inner[0]
        inner = getattr(error, "exceptions", None)
    return error
