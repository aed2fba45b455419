"""Prints the messages of a folder as one set of stubs writes them, as JSON.

Run in a process of its own: ours and `tritonclient`'s stubs have the same symbols. With ``--write``
the bytes are written beside the texts instead; those of the official client were.

    python oip_golden.py tritonclient.grpc.service_pb2 tests/unit/oip/golden --write
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from google.protobuf import text_format


def written(module: str, folder: Path) -> dict[str, bytes]:
    """Each text of the folder, serialized."""
    stubs = importlib.import_module(module)
    found = {}
    for path in sorted(folder.glob("*.txtpb")):
        message = getattr(stubs, path.name.partition(".")[0])()
        text_format.Parse(path.read_text(), message)
        found[path.stem] = message.SerializeToString(deterministic=True)
    return found


if __name__ == "__main__":
    golden = written(sys.argv[1], Path(sys.argv[2]))
    if "--write" in sys.argv:
        for name, data in golden.items():
            Path(sys.argv[2], f"{name}.binpb").write_bytes(data)
    else:
        sys.stdout.write(json.dumps({name: data.hex() for name, data in golden.items()}))
