"""The shape of the repository: what lies where, what imports what, what a wheel holds."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from support.repository import CODE_ROOTS, ROOT, text_of, tracked_files

from secondlook.cli.main import EXTRA_OF_MODULE

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TOP_LEVEL = {
    ".ci",
    ".dockerignore",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "constraints.txt",
    "pyproject.toml",
    "deploy",
    "docs",
    "tests",
    *CODE_ROOTS,
}

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_top_level_holds_only_what_the_design_names() -> None:
    assert {path.parts[0] for path in tracked_files()} <= TOP_LEVEL


@pytest.mark.parametrize("root", CODE_ROOTS)
def test_a_root_holds_only_the_namespace(root: str) -> None:
    seconds = {path.parts[1] for path in tracked_files() if path.parts[0] == root}
    assert seconds == {"secondlook"}


@pytest.mark.parametrize("root", CODE_ROOTS)
def test_the_namespace_has_no_init_module(root: str) -> None:
    # One `secondlook/__init__.py` would hide the portions of the other roots.
    loose = [
        path.name
        for path in tracked_files()
        if path.parts[:2] == (root, "secondlook") and len(path.parts) == 3
    ]
    assert loose == []
    assert not (ROOT / root / "secondlook" / "__init__.py").exists()


def test_every_portion_is_typed_and_importable() -> None:
    portions = {
        path.parts[:3]
        for path in tracked_files()
        if path.parts[0] in CODE_ROOTS and path.suffix == ".py"
    }
    assert {portion[2] for portion in portions} >= {"cli", "cloud", "edge", "oip", "rpc", "shared"}
    for portion in portions:
        folder = ROOT.joinpath(*portion)
        assert (folder / "py.typed").is_file(), f"{folder} lacks py.typed"
        assert (folder / "__init__.py").is_file(), f"{folder} lacks __init__.py"


def test_every_folder_with_code_is_a_package() -> None:
    folders = {
        path.parent
        for path in tracked_files()
        if path.parts[0] in CODE_ROOTS and path.suffix == ".py"
    }
    assert [str(f) for f in sorted(folders) if not (ROOT / f / "__init__.py").is_file()] == []


def test_no_module_is_called_utils() -> None:
    bad = {"utils.py", "util.py", "helpers.py", "misc.py", "common.py"}
    assert [str(p) for p in tracked_files() if p.name in bad] == []


def test_the_oldest_python_is_stated_once_and_meant_everywhere() -> None:
    oldest = re.fullmatch(r">=(\d+)\.(\d+)", PYPROJECT["project"]["requires-python"])
    assert oldest is not None
    major, minor = oldest.groups()
    assert (int(major), int(minor)) <= (3, 10), "JetPack 6 has Python 3.10"
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{major}{minor}"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == f"{major}.{minor}"
    assert PYPROJECT["tool"]["mypy"]["strict"] is True
    classifiers = PYPROJECT["project"]["classifiers"]
    assert f"Programming Language :: Python :: {major}.{minor}" in classifiers


def test_layers_are_kept() -> None:
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "1 kept" in run.stdout or "kept, 0 broken" in run.stdout


# Where a person's or a machine's own folders usually begin; and what a pip configuration holds.
_PRIVATE = re.compile(
    r"(?<![\w.])/(?:home|Users)/[a-z]|(?<![\w.])/root/|--(?:extra-)?index-url|--trusted-host"
    r"|PIP_INDEX_URL|UV_INDEX_URL|/simple/?['\"\s]",
)


def _registry_hosts() -> list[str]:
    """Hosts of the package index this machine uses, other than the public one."""
    found = [value for key, value in os.environ.items() if key.endswith("INDEX_URL")]
    for name in ("/etc/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf"):
        parser = configparser.ConfigParser(interpolation=None)
        parser.read(Path(name).expanduser())
        found += [v for s in parser.sections() for k, v in parser[s].items() if "index-url" in k]
    hosts = {host for url in found for host in re.findall(r"https?://(?:[^@/]*@)?([^/:\s]+)", url)}
    return sorted(hosts - {"pypi.org", "localhost", "127.0.0.1"})


def test_no_file_mentions_a_private_path_or_a_package_registry() -> None:
    private = [str(ROOT), *_registry_hosts()]
    found = []
    for path in tracked_files():
        text = text_of(path)
        if text is None or path == Path("tests/unit/test_layout.py"):
            continue
        if any(word in text for word in private):
            found.append(f"{path}: names this machine")
        found += [f"{path}: {hit.group()!r}" for hit in _PRIVATE.finditer(text)]
    assert found == []


def test_dependencies_keep_each_tier_light() -> None:
    extras = PYPROJECT["project"]["optional-dependencies"]
    base = PYPROJECT["project"]["dependencies"]

    def names(requirements: list[str]) -> set[str]:
        found = (re.match(r"[A-Za-z0-9._-]+", r) for r in requirements)
        return {match.group().lower() for match in found if match}

    heavy = {"torch", "ultralytics", "torchvision"}
    assert not names(base) & heavy
    assert not names(extras["edge"]) & heavy
    assert not names(extras["cloud"]) & heavy
    assert "ultralytics" not in names(extras["dev"]) | names(extras.get("train", []))


def _third_party(root: str) -> dict[str, set[str]]:
    """Top-level modules of others that the code of a root imports, and where."""
    found: dict[str, set[str]] = {}
    for path in tracked_files():
        if path.parts[0] != root or path.suffix != ".py" or "_pb2" in path.name:
            continue
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            for name in names:
                found.setdefault(name.partition(".")[0], set()).add(str(path))
    own = {"secondlook", *sys.stdlib_module_names, "tomllib"}
    return {name: where for name, where in found.items() if name not in own}


def _requirements(requirements: list[str]) -> set[str]:
    found = (re.match(r"[A-Za-z0-9._-]+", r) for r in requirements)
    return {match.group().lower().replace("_", "-") for match in found if match}


@pytest.mark.parametrize("root", CODE_ROOTS)
def test_every_library_that_is_imported_is_declared(root: str) -> None:
    extras = PYPROJECT["project"]["optional-dependencies"]
    base = _requirements(PYPROJECT["project"]["dependencies"])
    providers = importlib.metadata.packages_distributions()
    for module, where in _third_party(root).items():
        named = {name.lower().replace("_", "-") for name in providers.get(module, [module])}
        if named & base or module == "google":  # protobuf shares the namespace `google`
            continue
        extra = EXTRA_OF_MODULE.get(module)
        assert extra, f"{module} ({', '.join(sorted(where))}) is of no extra that the command knows"
        assert named & _requirements(extras[extra]), f"{module} is not in the extra {extra}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    # Hatchling's own API: no build isolation, no network.
    from hatchling.builders.wheel import WheelBuilder

    builder = WheelBuilder(str(ROOT))
    folder = tmp_path_factory.mktemp("dist")
    built = list(builder.build(directory=str(folder), versions=["standard"]))
    assert len(built) == 1
    return zipfile.ZipFile(built[0])


def test_the_wheel_holds_all_portions_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"secondlook"}
    portions = {name.split("/")[1] for name in names if name.startswith("secondlook/")}
    assert portions >= {"cli", "cloud", "edge", "oip", "rpc", "shared"}
    assert "__init__.py" not in portions
    assert not [name for name in names if "test" in Path(name).name and name.endswith(".py")]
    assert not [name for name in names if name.endswith((".pyc", ".pt", ".ckpt"))]


def test_the_wheel_holds_every_tracked_file_of_the_roots(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    wanted = {
        Path(*path.parts[1:]).as_posix() for path in tracked_files() if path.parts[0] in CODE_ROOTS
    }
    assert wanted - names == set()


def test_the_wheel_carries_licence_and_command(wheel: zipfile.ZipFile) -> None:
    info = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = wheel.read(info).decode()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.10" in metadata
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
    entry_points = wheel.read(info.replace("METADATA", "entry_points.txt")).decode()
    assert "secondlook = secondlook.cli.main:main" in entry_points


def test_the_licence_is_the_whole_apache_licence() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PYPROJECT["project"]["license"] == "Apache-2.0"
