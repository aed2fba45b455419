"""The official client, in a process of its own, against the service over an engine that is a fake.

`tests/e2e/test_tritonclient.py` does the same with the real command and real models.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import anyio
import cv2
import numpy as np
import pytest
from support.inference import FakeEngine, inference_server
from support.repository import ROOT

SCRIPT = ROOT / "tests" / "support" / "triton_calls.py"
CHECKS = re.findall(r"^(?:async )?def (check_\w+)", SCRIPT.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[10:20, 20:40] = (0, 255, 0)
    path = tmp_path_factory.mktemp("pictures") / "car.png"
    assert cv2.imwrite(str(path), picture)
    return anyio.run(_told, path)


async def _told(picture: Path) -> dict[str, str]:
    async with inference_server(FakeEngine()) as (port, _):
        run = await anyio.run_process(
            [sys.executable, str(SCRIPT), f"127.0.0.1:{port}", str(picture)],
            stderr=subprocess.STDOUT,
            check=False,
        )
    assert run.returncode == 0, run.stdout.decode()
    found: dict[str, str] = json.loads(run.stdout)
    return found


@pytest.mark.parametrize("check", CHECKS)
def test_the_official_client_works_unchanged(check: str, told: dict[str, str]) -> None:
    assert told[check] == "", told[check]
