"""Our stubs and the official client's write the same bytes, and those that were once committed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import text_format
from support.oip_golden import written
from support.repository import ROOT

from secondlook.oip import inference_pb2 as pb

GOLDEN = Path(__file__).parent / "golden"
TEXTS = sorted(GOLDEN.glob("*.txtpb"))


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.stem)
def test_our_bytes_are_the_committed_ones(text: Path) -> None:
    committed = text.with_suffix(".binpb").read_bytes()
    assert written("secondlook.oip.inference_pb2", GOLDEN)[text.stem] == committed
    message = getattr(pb, text.name.partition(".")[0]).FromString(committed)
    again = type(message)()
    text_format.Parse(text.read_text(), again)
    assert message == again


def test_the_official_client_writes_the_same() -> None:
    script = ROOT / "tests" / "support" / "oip_golden.py"
    run = subprocess.run(
        [sys.executable, script, "tritonclient.grpc.service_pb2", GOLDEN],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    theirs = json.loads(run.stdout)
    assert set(theirs) == {text.stem for text in TEXTS}
    for name, data in theirs.items():
        assert bytes.fromhex(data) == (GOLDEN / f"{name}.binpb").read_bytes(), name
