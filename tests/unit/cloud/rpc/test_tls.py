"""TLS and mutual TLS on real connections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme
from support.cloud import FakeDetector, escalation_stub, picture, settings, whole_frame

from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.service import running_cloud
from secondlook.shared.errors import InvalidConfig
from secondlook.shared.wire.escalation import request_to_proto

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Files:
    folder: Path

    def path(self, name: str) -> Path:
        return self.folder / name

    def read(self, name: str) -> bytes:
        return self.path(name).read_bytes()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """An authority, a certificate of the service and one of an edge; and garbage."""
    folder = tmp_path_factory.mktemp("tls")
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name, issuer, who in (
        ("cloud", authority, "localhost"),
        ("edge", authority, "edge-1"),
        ("stranger", stranger, "edge-1"),
    ):
        certificate = issuer.issue_cert(who)
        certificate.private_key_pem.write_to_path(folder / f"{name}.key")
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    (folder / "garbage.pem").write_bytes(b"garbage")
    return Files(folder)


async def ask(port: int, credentials: grpc.ChannelCredentials | None) -> Any:
    target = f"localhost:{port}"
    channel = (
        grpc.aio.secure_channel(target, credentials)
        if credentials
        else grpc.aio.insecure_channel(target)
    )
    async with channel:
        request = request_to_proto(whole_frame(picture(64, 48)))
        return await escalation_stub(channel).Escalate(request, timeout=5)


def serving(files: Files, **tls: str) -> Any:
    given = {name: files.path(value) for name, value in tls.items()}
    return running_cloud(
        settings(server={"port": 0, "host": "localhost", "tls": given}),
        load=lambda _: [Loaded(FakeDetector())],
    )


async def test_tls_serves_who_trusts_it_and_no_plaintext(files: Files) -> None:
    async with serving(files, cert="cloud.pem", key="cloud.key") as cloud:
        trusting = grpc.ssl_channel_credentials(files.read("ca.pem"))
        assert (await ask(cloud.port, trusting)).request_id == "r1"
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await ask(cloud.port, None)
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_mutual_tls_serves_only_whom_the_authority_knows(files: Files) -> None:
    async with serving(files, cert="cloud.pem", key="cloud.key", client_ca="ca.pem") as cloud:
        ca = files.read("ca.pem")
        known = grpc.ssl_channel_credentials(ca, files.read("edge.key"), files.read("edge.pem"))
        assert (await ask(cloud.port, known)).request_id == "r1"
        stranger = grpc.ssl_channel_credentials(
            ca, files.read("stranger.key"), files.read("stranger.pem")
        )
        for unknown in (grpc.ssl_channel_credentials(ca), stranger):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await ask(cloud.port, unknown)
            assert error.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("tls", "message"),
    [
        ({"cert": "none.pem", "key": "cloud.key"}, r"none\.pem cannot be read"),
        ({"cert": "garbage.pem", "key": "cloud.key"}, "no certificate and its key"),
        ({"cert": "cloud.pem", "key": "edge.key"}, "KEY_VALUES_MISMATCH"),
        (
            {"cert": "cloud.pem", "key": "cloud.key", "client_ca": "garbage.pem"},
            "holds no certificate",
        ),
    ],
)
async def test_certificates_that_cannot_work_are_told(
    files: Files, tls: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidConfig, match=message):
        async with serving(files, **tls):
            pytest.fail("it serves")
