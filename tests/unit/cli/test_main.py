import importlib
import subprocess
import sys

import click
import pytest

from secondlook.cli import main as main_module
from secondlook.cli.main import cli, run
from secondlook.shared import errors


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "Examples" in shown
    for name in ("bench", "cloud", "config", "demo", "doctor", "edge", "memory", "price", "train"):
        assert f"\n  {name} " in shown


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidConfig("server.port: wrong"), 2),
        (errors.InvalidModel("x.onnx: empty"), 2),
        (errors.MissingDependency("torch", "train"), 3),
        (errors.Unavailable("host unreachable"), 4),
        (errors.SourceError("camera gone"), 4),
        (errors.StoreError("redis gone"), 4),
        (errors.ModelFailure("NaN"), 1),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("boom"), 1),
        (click.UsageError("bad flag"), 2),
    ],
)
def test_errors_become_exit_codes(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cli, "main", fail)
    assert run([]) == code
    shown = capsys.readouterr().err
    if isinstance(error, errors.SecondlookError):
        assert shown.strip() == f"error: {error}"
    if isinstance(error, ZeroDivisionError):
        assert "incident" in shown


def test_an_error_inside_a_task_group_is_told_as_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    group = main_module._single

    class Wrapped(Exception):
        exceptions = (errors.Unavailable("host unreachable"),)

    assert isinstance(group(Wrapped()), errors.Unavailable)

    def fail(*_: object, **__: object) -> None:
        raise Wrapped

    monkeypatch.setattr(cli, "main", fail)
    assert run([]) == 4
    assert "host unreachable" in capsys.readouterr().err


def test_an_unknown_command_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err


def test_a_missing_extra_that_shows_while_a_command_runs_says_so_too() -> None:
    # None in sys.modules makes an import fail as where nothing is installed.
    code = (
        "import sys; sys.modules['scipy'] = None; from secondlook.cli.main import run; "
        "sys.exit(run(['edge', 'run', '--camera', 'sim://street', '--no-cloud']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 3, ended.stderr
    assert ended.stderr == "error: scipy is not installed (pip install 'secondlook[edge]')\n"


def test_a_missing_extra_says_what_mends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError("No module named 'av'", name="av")

    monkeypatch.setattr(importlib, "import_module", absent)
    assert run(["edge", "--help"]) == 3
    assert "pip install 'secondlook[edge]'" in capsys.readouterr().err
