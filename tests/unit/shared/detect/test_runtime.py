import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
SILENT = "import secondlook.shared.detect.runtime as runtime; print(runtime.ort.__version__)"


def test_running_a_model_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    environ = {key: value for key, value in os.environ.items() if key != "CI"}
    environ |= {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", SILENT], env=environ, check=True, timeout=60)
    assert list(tmp_path.rglob("*")) == []


def test_nobody_imports_onnxruntime_before_its_reports_are_switched_off() -> None:
    """Its tools are imported where they are used, below the import that throws the switch."""
    importing = re.compile(r"^\s*(?:import onnxruntime|from onnxruntime\b)", re.MULTILINE)
    switched = "from secondlook.shared.detect.runtime import"
    own = ROOT / "shared" / "secondlook" / "shared" / "detect" / "runtime.py"
    found = []
    for tier in ("edge", "cloud", "shared"):
        for path in (ROOT / tier).rglob("*.py"):
            text = path.read_text()
            first = importing.search(text)
            if first and path != own and switched not in text[: first.start()]:
                found.append(path.relative_to(ROOT))
    assert found == []
