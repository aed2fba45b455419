from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from secondlook.shared.errors import InvalidConfig
from secondlook.shared.memory.remote_channel import RemoteAddress

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("grpc://127.0.0.1:5000", "127.0.0.1:5000"),
        ("grpc://localhost", "localhost:50051"),
        ("grpc://localhost/", "localhost:50051"),
        ("grpc://[::1]:5000", "[::1]:5000"),
        ("grpc://127.9.9.9:1", "127.9.9.9:1"),
        ("grpc://cloud.example.com:5000?allow_plaintext=1", "cloud.example.com:5000"),
    ],
)
def test_plaintext(url: str, target: str) -> None:
    address = RemoteAddress.of(url)
    assert (address.target, address.tls) == (target, False)


def test_tls_with_its_files() -> None:
    address = RemoteAddress.of(
        "grpcs://cloud.example.com?ca=/etc/ca.pem&cert=me.pem&key=me%20too.key&server_name=cloud"
    )
    assert address == RemoteAddress(
        "cloud.example.com:50051",
        True,
        Path("/etc/ca.pem"),
        Path("me.pem"),
        Path("me too.key"),
        "cloud",
    )
    assert RemoteAddress.of("grpcs://10.0.0.1:5000") == RemoteAddress("10.0.0.1:5000", True)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("grpc://", "a host"),
        ("grpc://:5000", "a host"),
        ("grpc://localhost:port", "[Pp]ort"),
        ("grpc://localhost:99999", "[Pp]ort"),
        ("grpc://localhost:5000/db", "nothing behind it"),
        ("grpc://user:secret@localhost:5000", "no user"),
        ("grpc://localhost#x", "fragment"),
        ("grpc://[::1", "."),
        ("grpc://localhost?ca=ca.pem", "ca is unknown to grpc://"),
        ("grpc://localhost?nonsense", "."),
        ("grpcs://localhost?cert=a.pem", "belong together"),
        ("grpcs://localhost?key=a.pem", "belong together"),
        ("grpcs://localhost?ca=", "empty"),
        ("grpcs://localhost?ca=a&ca=b", "twice"),
        ("grpcs://localhost?insecure=1", "insecure is unknown"),
        ("grpc://cloud.example.com:5000", "not loopback"),
        ("grpc://0.0.0.0:5000", "not loopback"),
        ("grpc://127.0.0.1.example.com:5000", "not loopback"),
        ("grpc://10.0.0.1:5000?allow_plaintext=0", "not loopback"),
    ],
)
def test_what_cannot_work_is_told(url: str, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message) as error:
        RemoteAddress.of(url)
    assert error.value.remedy
    assert "secret" not in str(error.value)


async def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(authority)
    with pytest.raises(InvalidConfig, match=r"none\.pem cannot be read"):
        await RemoteAddress.of(f"grpcs://localhost?ca={tmp_path}/none.pem").connect()
    channel = await RemoteAddress.of(f"grpcs://localhost?ca={authority}").connect()
    await channel.close()
