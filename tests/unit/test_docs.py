"""The documents are true: links lead somewhere, commands exist, snippets run, modules are there."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry
from support.commands import check_arguments, command_lines
from support.documents import Block, anchors, blocks, code_words, links
from support.repository import ROOT, tracked_files

from secondlook.cli.config.command import TIERS, Tier, settings_class
from secondlook.cloud.processes.metrics import ProcessMetrics
from secondlook.edge.sinks.outlet import Outlets
from secondlook.shared.settings import load

DOCUMENTS = sorted(ROOT / path for path in tracked_files() if path.suffix == ".md")
BLOCKS = [block for file in DOCUMENTS for block in blocks(file)]
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def of(language: str, *, word: str = "") -> list[Block]:
    return [b for b in BLOCKS if b.language == language and (not word or word in b.words)]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_documents_that_people_look_for_exist() -> None:
    expected = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"}
    expected |= {"docs/architecture.md", "docs/adr/README.md"}
    guides = (
        "quickstart",
        "price",
        "configuration",
        "memory",
        "budget",
        "doctor",
        "trust",
        "self-test",
        "explain",
        "models",
    )
    expected |= {f"docs/guides/{guide}.md" for guide in guides}
    assert expected <= {name(file) for file in DOCUMENTS}


@pytest.mark.parametrize("file", DOCUMENTS, ids=name)
def test_links_lead_somewhere(file: Path) -> None:
    for target in links(file):
        parts = urlsplit(target)
        if parts.scheme:
            assert parts.scheme == "https", f"{target}: https expected"
            continue
        place = (file.parent / parts.path).resolve() if parts.path else file
        assert place.exists(), f"{target} leads nowhere"
        assert place.is_relative_to(ROOT), f"{target} leaves the repository"
        if parts.fragment:
            assert parts.fragment in anchors(place), f"{target}: no such heading"


def test_every_decision_is_in_the_index() -> None:
    folder = ROOT / "docs" / "adr"
    pages = {path.name for path in folder.glob("[0-9]*.md")}
    assert pages == {target for target in links(folder / "README.md") if target[0].isdigit()}
    for page in pages:
        text = (folder / page).read_text()
        assert text.startswith(f"# {page[:4]}: ")
        assert "\nStatus: " in text


SHELL = [block for block in BLOCKS if block.language in ("bash", "sh", "console")]


@pytest.mark.parametrize("block", SHELL, ids=lambda b: b.id)
def test_commands_in_documents_exist(block: Block) -> None:
    for arguments in command_lines(block.body):
        check_arguments(arguments)
    for target in re.findall(r"^\s*(?:\w+=\S+ )*make ([a-z-]+)", block.body, re.MULTILINE):
        assert target in TARGETS, f"make {target}"


@pytest.mark.parametrize("block", of("bash", word="runnable"), ids=lambda b: b.id)
def test_runnable_commands_run(block: Block, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "-eu", "-c", block.body],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("block", of("python"), ids=lambda b: b.id)
def test_python_snippets_run(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = compile(block.body, block.id, "exec")
    exec(code, {"__name__": "__main__"})


@pytest.mark.parametrize("block", of("toml"), ids=lambda b: b.id)
def test_settings_snippets_are_valid(block: Block, tmp_path: Path) -> None:
    assert block.words, f"{block.id}: write ```toml edge or ```toml cloud"
    tier = block.words[0]
    assert tier in ("edge", "cloud")
    path = tmp_path / "settings.toml"
    path.write_text(block.body)
    load(settings_class(tier), tier, path, {})  # type: ignore[arg-type]


@pytest.mark.parametrize("tier", TIERS)
def test_the_example_settings_show_the_defaults(tier: Tier) -> None:
    path = ROOT / "deploy" / "examples" / f"{tier}.toml"
    shown = load(settings_class(tier), tier, path, {}).model_dump()
    least = {"CAMERAS": '[{id = "a", url = "b"}]'} if tier == "edge" else {}
    variables = {f"SECONDLOOK_{tier.upper()}__{key}": value for key, value in least.items()}
    default = load(settings_class(tier), tier, None, variables).model_dump()
    # Lists of tables are examples by nature.
    assert [
        f"{table}.{field} is {value}, the default is {default[table][field]}"
        for table, fields in shown.items()
        if isinstance(fields, dict)
        for field, value in fields.items()
        if value != default[table][field] and not isinstance(value, tuple)
    ] == []


def test_the_configuration_page_is_fresh() -> None:
    run = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate_configuration.py"), "--check"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


_MODULE = re.compile(r"secondlook(\.[A-Za-z_][A-Za-z0-9_]*)+")
_PATH = re.compile(r"(?:tests|docs|deploy|edge|cloud|shared|protos)/[\w./-]*")


@pytest.mark.parametrize("file", DOCUMENTS, ids=name)
def test_modules_and_paths_that_are_named_exist(file: Path) -> None:
    for word in code_words(file):
        if _MODULE.fullmatch(word):
            assert _exists(word), f"`{word}` does not exist"
        elif _PATH.fullmatch(word):
            assert (ROOT / word).exists(), f"`{word}` does not exist"


def _exists(dotted: str) -> bool:
    """Whether it is a module or package, or something inside one."""
    try:
        if importlib.util.find_spec(dotted) is not None:
            return True
    except ModuleNotFoundError:
        pass
    module, _, attribute = dotted.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("picture", ["data-flow.svg", "memory-record.svg"])
def test_the_pictures_follow_the_readers_light(picture: str) -> None:
    svg = (ROOT / "docs" / picture).read_text()
    assert "prefers-color-scheme: dark" in svg
    assert "<title" in svg
    assert "<desc" in svg


STARTS_NOTHING = (".toml", ".json", ".py")
DEPLOY = [
    ROOT / p for p in tracked_files() if p.parts[0] == "deploy" and p.suffix not in STARTS_NOTHING
]


@pytest.mark.parametrize("file", DEPLOY, ids=name)
def test_commands_in_deploy_files_exist(file: Path) -> None:
    calls = []
    for line in file.read_text().splitlines():
        if line.startswith(("ExecStart", "ExecReload")):
            calls += list(command_lines(line.partition("=")[2]))
        elif line.startswith(("ENTRYPOINT", "CMD")):
            words = re.findall(r'"([^"]*)"', line)
            calls += list(command_lines(" ".join(words)))
    for arguments in calls:
        check_arguments(arguments)
    assert calls or file.suffix == ".yaml"


def test_units_stop_later_than_the_drain() -> None:
    for unit in (ROOT / "deploy" / "systemd").glob("*.service"):
        text = unit.read_text()
        stop_s = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
        assert stop_s is not None
        assert int(stop_s[1]) > 10.0
        assert "RestartPreventExitStatus=2 3" in text


def test_metrics_that_are_named_exist() -> None:
    registry = CollectorRegistry()
    for module, owner in (
        ("secondlook.edge.capture.tally", "CaptureMetrics"),
        ("secondlook.edge.daemon.meter", "CameraMeter"),
        ("secondlook.edge.control.meter", "ControlMeter"),
        ("secondlook.edge.decisions.meter", "DecisionMeter"),
        ("secondlook.edge.uplink.meter", "UplinkMeter"),
        ("secondlook.shared.trust.meter", "TrustMeter"),
        ("secondlook.edge.uplink.meter", "SpoolMeter"),
        ("secondlook.cloud.metrics", "JudgeMetrics"),
        ("secondlook.cloud.metrics", "RpcMetrics"),
        ("secondlook.cloud.canvas.metrics", "CanvasMetrics"),
        ("secondlook.cloud.engine.metrics", "EngineMetrics"),
        ("secondlook.cloud.engine.adapting.metrics", "AdaptingMetrics"),
        ("secondlook.cloud.engine.lifecycle_metrics", "LifecycleMetrics"),
        ("secondlook.cloud.engine.residents_metrics", "ResidentsMetrics"),
    ):
        getattr(importlib.import_module(module), owner)(registry)
    Outlets([], 1, registry)
    ProcessMetrics(registry, 1)
    known = {metric.name for metric in registry.collect()}
    named = {
        word
        for file in DOCUMENTS
        for word in code_words(file)
        if re.fullmatch(r"secondlook_(edge|cloud)_[a-z_]+", word)
    }
    assert named, "the architecture names metrics"
    assert {word.removesuffix("_total") for word in named} <= known
