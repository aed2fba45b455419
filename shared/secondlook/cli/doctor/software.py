"""The libraries: which are here, in which version, and what is known about them."""

from __future__ import annotations

import importlib
import platform
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from secondlook.cli.doctor.chain import Check
from secondlook.cli.doctor.result import CheckResult, fail, ok, warn
from secondlook.cli.doctor.threads import in_thread
from secondlook.cli.main import EXIT_MISSING_DEPENDENCY, EXIT_USAGE

OLDEST_PYTHON = (3, 10)


@dataclass(frozen=True, slots=True)
class Library:
    """One library that Secondlook leans on.

    Attributes:
        title: its name for people.
        module: what is imported.
        distributions: names under which it is installed, the usual one first.
        extra: the extra that brings it; empty for one that is always needed.
        used_for: what does not work without it.
    """

    title: str
    module: str
    distributions: tuple[str, ...]
    extra: str
    used_for: str


LIBRARIES = (
    Library(
        "ONNX Runtime",
        "onnxruntime",
        ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-cann"),
        "",
        "running detectors",
    ),
    Library(
        "OpenCV",
        "cv2",
        ("opencv-python-headless", "opencv-python", "opencv-contrib-python"),
        "",
        "images",
    ),
    Library("gRPC", "grpc", ("grpcio",), "", "the way between edge and cloud"),
    Library("PyAV", "av", ("av",), "edge", "decoding video"),
    Library("redis-py", "redis", ("redis",), "cloud", "a context memory on Redis"),
)


def software_checks(needed_extras: Iterable[str] = ()) -> list[tuple[Check, bool]]:
    """One check for Python and one for each library, and whether nothing works without it.

    Args:
        needed_extras: extras without which what is being checked cannot work; the libraries of
            others may be absent.
    """
    needed = frozenset(needed_extras)
    checks = [(Check("software: Python", check_python), True)]
    return checks + [(_library_check(library, needed), not library.extra) for library in LIBRARIES]


def _library_check(library: Library, needed: frozenset[str]) -> Check:
    return Check(
        f"software: {library.title}",
        lambda name: check_library(name, library, needed),
        "the import hangs",
    )


async def check_python(name: str) -> CheckResult:
    """The interpreter and the machine."""
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    detail = f"{detail}, Secondlook {await in_thread(version, 'secondlook')}"
    if sys.version_info[:2] < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return fail(name, detail, f"Python {wanted} or newer is needed", EXIT_USAGE)
    return ok(name, detail)


async def check_library(name: str, library: Library, needed: frozenset[str]) -> CheckResult:
    """Whether a library is here and can be imported."""
    try:
        found, offers = await in_thread(_import, library)
    except ModuleNotFoundError as error:
        if error.name != library.module:
            return _broken(name, library, error)
        what = f"secondlook[{library.extra}]" if library.extra else "secondlook"
        if library.extra and library.extra not in needed:
            return warn(
                name, f"not installed: no {library.used_for}", f"if needed: pip install '{what}'"
            )
        return fail(
            name,
            f"not installed: no {library.used_for}",
            f"pip install '{what}'",
            EXIT_MISSING_DEPENDENCY,
        )
    except ImportError as error:
        return _broken(name, library, error)
    detail = ", ".join(found) if found else "installed, version unknown"
    if offers:
        detail = f"{detail}, offers {', '.join(offers)}"
    if len(found) > 1:
        return warn(
            name,
            f"{detail}: they overwrite each other's files",
            f"pip uninstall them all, then install one, such as {library.distributions[0]}",
        )
    if library.module == "cv2" and found and found[0].split()[1].split(".")[0] == "5":
        return warn(
            name,
            detail,
            "OpenCV 5.0 aborts on some broken videos: pip install 'opencv-python-headless<5'",
        )
    return ok(name, detail)


def _broken(name: str, library: Library, error: ImportError) -> CheckResult:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    remedy = f"reinstall it: pip install --force-reinstall {library.distributions[0]}"
    if "libGL" in reason:
        remedy = "use opencv-python-headless, or install the system's libGL"
    return fail(name, f"installed, but cannot be imported: {reason}", remedy)


def _import(library: Library) -> tuple[list[str], list[str]]:
    """Import it; the distributions that it may come from, and what ONNX Runtime offers."""
    module = importlib.import_module(library.module)
    found = [f"{name} {known}" for name in library.distributions if (known := _version(name))]
    if library.module != "onnxruntime":
        return found, []
    offered = module.get_available_providers()
    return found, [name.removesuffix("ExecutionProvider") for name in offered]


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
