"""Where the memory is, and under which name it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from secondlook.edge.memory.settings import FILE_NAME, MemorySettings, memory_file
from secondlook.edge.memory.sharing import shared_prefixes
from secondlook.shared.errors import InvalidConfig


@pytest.mark.parametrize(
    ("environ", "file"),
    [
        ({"STATE_DIRECTORY": "/var/lib/secondlook"}, f"/var/lib/secondlook/{FILE_NAME}"),
        ({"STATE_DIRECTORY": "/a:/b", "HOME": "/h"}, f"/a/{FILE_NAME}"),
        ({"XDG_STATE_HOME": "/s", "HOME": "/h"}, f"/s/secondlook/{FILE_NAME}"),
        ({"XDG_STATE_HOME": "s", "HOME": "/h"}, f"/h/.local/state/secondlook/{FILE_NAME}"),
        ({"HOME": "/h"}, f"/h/.local/state/secondlook/{FILE_NAME}"),
    ],
)
def test_the_file_is_where_state_belongs(environ: dict[str, str], file: str) -> None:
    assert memory_file(MemorySettings(), environ) == Path(file)


def test_the_settings_win_and_nowhere_is_an_error() -> None:
    assert memory_file(MemorySettings(path=Path("m.db")), {"HOME": "/h"}) == Path("m.db")
    with pytest.raises(InvalidConfig, match="no home directory"):
        memory_file(MemorySettings(), {})


def test_the_writer_is_the_device_or_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MemorySettings(device="yard-1").writer() == "yard-1"
    monkeypatch.setattr("socket.gethostname", lambda: "ü box/1")
    assert MemorySettings().writer() == "--box-1"
    monkeypatch.setattr("socket.gethostname", lambda: "")
    assert MemorySettings().writer() == "edge"


def test_what_is_shared_are_the_sites_or_the_cameras() -> None:
    cameras = ("yard/one", "yard/two", "gate")
    assert shared_prefixes(cameras, "site") == ("yard/", "default/")
    cameras_alone = ("yard/one/", "yard/two/", "default/gate/", "yard/_site/", "default/_site/")
    assert shared_prefixes(cameras, "cameras") == cameras_alone
