"""What a device may do, told by its certificate, over real mutual TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import trustme
from support.canvas import Asker
from support.cloud import FakeDetector, escalation_stub, picture, settings, whole_frame

from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.service import RunningCloud, running_cloud
from secondlook.rpc.v1 import context_memory_pb2 as pb
from secondlook.rpc.v1 import context_memory_pb2_grpc, escalation_pb2
from secondlook.shared.errors import NotFound, PermissionDenied, VersionConflict
from secondlook.shared.memory import Write, edit
from secondlook.shared.memory.remote import RemoteStore
from secondlook.shared.wire.escalation import request_to_proto

pytestmark = pytest.mark.anyio

DEVICES = [
    {"identity": "gate-1", "cameras": ["museum/cam1"], "reads": ["museum/*"]},
    {"identity": "gate-2", "cameras": ["museum/cam2"], "reads": ["museum/*"]},
    {"identity": "yard", "cameras": ["cam1"]},
    {"identity": "admin", "cameras": ["*"]},
]
NAMES = ("gate-1", "gate-2", "yard", "admin", "unlisted")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of the service and of devices, signed by one authority."""
    folder = tmp_path_factory.mktemp("identity")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = {name: authority.issue_cert(name) for name in (*NAMES, "localhost")}
    issued["old"] = authority.issue_cert("old-style", common_name="gate-1")
    for name, certificate in issued.items():
        certificate.private_key_pem.write_to_path(folder / f"{name}.key")
        certificate.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    return folder


class Site:
    """The service, and its devices."""

    def __init__(self, cloud: RunningCloud, folder: Path, stack: AsyncExitStack) -> None:
        self.cloud = cloud
        self._folder = folder
        self._stack = stack

    async def store(self, name: str) -> RemoteStore:
        files = "&".join(f"{what}={self._folder}/{name}.{end}" for what, end in ENDS)
        url = f"grpcs://localhost:{self.cloud.port}?ca={self._folder}/ca.pem&{files}"
        store = await RemoteStore.open(url)
        self._stack.push_async_callback(store.close)
        return store

    async def channel(self, name: str) -> grpc.aio.Channel:
        credentials = grpc.ssl_channel_credentials(
            (self._folder / "ca.pem").read_bytes(),
            (self._folder / f"{name}.key").read_bytes(),
            (self._folder / f"{name}.pem").read_bytes(),
        )
        channel = grpc.aio.secure_channel(f"localhost:{self.cloud.port}", credentials)
        return await self._stack.enter_async_context(channel)


ENDS = (("cert", "pem"), ("key", "key"))


@asynccontextmanager
async def running(folder: Path, **tables: Any) -> AsyncIterator[Site]:
    tls = {
        "cert": folder / "localhost.pem",
        "key": folder / "localhost.key",
        "client_ca": folder / "ca.pem",
    }
    server = {"port": 0, "host": "localhost", "tls": tls}
    given = settings(server=server, **tables)
    async with (
        running_cloud(given, load=lambda _: [Loaded(FakeDetector())]) as cloud,
        AsyncExitStack() as stack,
    ):
        yield Site(cloud, folder, stack)


@pytest.fixture
async def site(folder: Path) -> AsyncIterator[Site]:
    async with running(folder, access={"devices": DEVICES}) as site:
        yield site


async def test_a_device_does_as_it_likes_with_its_own_camera(site: Site) -> None:
    gate = await site.store("gate-1")
    saved = await gate.save("museum/cam1/track/1", {"n": 1}, 0, writer="gate-1")
    assert saved.writer == "gate-1"
    assert await gate.load(saved.id) == saved
    edited = await edit(gate, saved.id, lambda _: {"n": 2}, writer="gate-1")
    assert (await gate.changes("museum/cam1/")).records == (edited,)
    assert (await gate.delete(saved.id, 2, writer="gate-1")).deleted


async def test_two_cameras_of_a_site_read_each_other(site: Site) -> None:
    one, two = await site.store("gate-1"), await site.store("gate-2")
    saved = await one.save("museum/cam1/track/1", {"n": 1}, 0, writer="gate-1")
    assert await two.load(saved.id) == saved
    assert (await two.changes("museum/")).records == (saved,)
    watch = two.watch("museum/")
    assert await anext(watch) == saved
    await watch.aclose()
    with pytest.raises(PermissionDenied, match="gate-2 may not write"):
        await two.save(saved.id, {}, 1, writer="gate-2")
    with pytest.raises(PermissionDenied):
        await two.delete(saved.id, 1, writer="gate-2")
    assert await one.load(saved.id) == saved


Verb = Callable[[RemoteStore, str], Awaitable[object]]
VERBS: dict[str, Verb] = {
    "save": lambda store, record_id: store.save(record_id, {}, 0, writer=""),
    "load": lambda store, record_id: store.load(record_id),
    "delete": lambda store, record_id: store.delete(record_id, 1, writer=""),
    "changes": lambda store, prefix: store.changes(prefix),
    "watch": lambda store, prefix: anext(store.watch(prefix)),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("gate-1", "museum/cam10/track/1"),
        ("gate-2", "museum/cam1/track/1"),
        ("gate-1", "default/cam1/track/1"),
        ("gate-1", "other/cam1/track/1"),
        ("yard", "museum/cam1/track/1"),
        ("yard", "default/cam2/track/1"),
        ("yard", "cam1/track/1"),
        ("unlisted", "museum/cam1/track/1"),
    ],
)
async def test_the_camera_of_another_is_out_of_reach(
    site: Site, verb: str, name: str, target: str
) -> None:
    standing = await site.cloud.store.save(target, {"secret": True}, 0, writer="owner")
    store = await site.store(name)
    may_read = name.startswith("gate") and target.startswith("museum/")
    if may_read and verb in ("load", "changes", "watch"):
        await VERBS[verb](store, target)
    else:
        with pytest.raises(PermissionDenied) as error:
            await VERBS[verb](store, target)
        assert "secret" not in str(error.value)
        assert "access.devices" in str(error.value) or "prefix" in str(error.value)
    assert await site.cloud.store.load(target) == standing


@pytest.mark.parametrize("prefix", ["", "d", "default", "default/", "default/cam1", "museum/"])
@pytest.mark.parametrize("verb", ["changes", "watch"])
async def test_a_listing_never_shows_more_than_may_be_read(
    site: Site, verb: str, prefix: str
) -> None:
    for camera in ("default/cam1", "default/cam10", "museum/cam1"):
        await site.cloud.store.save(f"{camera}/x/1", {}, 0, writer="owner")
    yard = await site.store("yard")
    with pytest.raises(PermissionDenied):
        await VERBS[verb](yard, prefix)
    page = await yard.changes("default/cam1/")
    assert [record.id for record in page.records] == ["default/cam1/x/1"]


async def raw(site: Site, name: str) -> Any:
    return context_memory_pb2_grpc.ContextMemoryStub(await site.channel(name))


@pytest.mark.parametrize(
    "record_id",
    [
        *("museum/cam1/../cam2/x/1", "museum/cam1/../../other/x", "museum/cam1/./x"),
        *("museum/cam1//x", "museum/cam1/", "museum/cam1/x\x00", "museum/cam1/" + "x" * 10_000),
    ],
)
async def test_tricks_with_ids_get_nowhere(site: Site, record_id: str) -> None:
    memory = await raw(site, "gate-1")
    for call in (
        memory.Save(pb.SaveRequest(id=record_id, data=b"{}", writer="gate-1")),
        memory.Load(pb.LoadRequest(id=record_id)),
        memory.Delete(pb.DeleteRequest(id=record_id, expected_version=1)),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await site.cloud.store.changes()).records == ()


@pytest.mark.parametrize("prefix", ["../", "./museum/", "/museum", "default/../museum/"])
async def test_prefixes_that_seem_to_lead_home_are_refused(site: Site, prefix: str) -> None:
    with pytest.raises(PermissionDenied):
        await (await site.store("gate-1")).changes(prefix)


@pytest.mark.parametrize("prefix", ["museum/../", "museum/cam1/../../default/", "museum/%2e%2e/"])
async def test_prefixes_that_seem_to_lead_out_show_nothing(site: Site, prefix: str) -> None:
    await site.cloud.store.save("default/cam1/x/1", {}, 0, writer="owner")
    assert not (await (await site.store("gate-1")).changes(prefix)).records


async def test_a_forged_writer_is_refused(site: Site) -> None:
    gate = await site.store("gate-1")
    for forged in ("gate-2", "admin", "gate-1 "):
        with pytest.raises(PermissionDenied, match="may not write as"):
            await gate.save("museum/cam1/x/1", {}, 0, writer=forged)
        with pytest.raises(PermissionDenied, match="may not write as"):
            await gate.delete("museum/cam1/x/1", 1, writer=forged)
    assert (await site.cloud.store.changes()).records == ()


async def test_an_empty_writer_is_signed_with_the_identity(site: Site) -> None:
    gate = await site.store("gate-1")
    saved = await gate.save("museum/cam1/x/1", {}, 0, writer="")
    assert saved.writer == "gate-1"
    memory = await raw(site, "gate-1")
    request = pb.SaveRequest(id="museum/cam1/x/1", data=b"{}", expected_version=1)
    assert (await memory.Save(request)).record.writer == "gate-1"
    buried = await memory.Delete(pb.DeleteRequest(id="museum/cam1/x/1", expected_version=2))
    assert buried.record.writer == "gate-1"


async def test_metadata_forges_no_identity(site: Site) -> None:
    memory = await raw(site, "unlisted")
    metadata = (
        ("x509_common_name", "admin"),
        ("x-forwarded-client-cert", "By=admin;Subject=CN=admin"),
        ("identity", "admin"),
    )
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await memory.Load(pb.LoadRequest(id="museum/cam1/x/1"), metadata=metadata)
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "'unlisted'" in (error.value.details() or "")


async def test_of_a_batch_only_what_is_allowed_is_written(site: Site) -> None:
    gate = await site.store("gate-1")
    outcomes = await gate.apply(
        [
            Write("museum/cam1/x/1", {}, 0, "gate-1"),
            Write("museum/cam2/x/1", {}, 0, "gate-1"),
            Write("museum/cam1/x/2", {}, 0, "gate-2"),
            Write("museum/cam1/x/1", {}, 0, ""),
        ]
    )
    assert outcomes[0].record is not None
    assert [type(outcome.error) for outcome in outcomes[1:]] == [
        PermissionDenied,
        PermissionDenied,
        VersionConflict,
    ]
    records = (await site.cloud.store.changes()).records
    assert [(record.id, record.writer) for record in records] == [("museum/cam1/x/1", "gate-1")]


async def test_a_star_may_do_everything(site: Site) -> None:
    admin = await site.store("admin")
    for record_id in ("museum/cam1/x/1", "other/cam/x/1", "x"):
        await admin.save(record_id, {}, 0, writer="admin")
    assert len((await admin.changes()).records) == 3


async def test_a_common_name_is_a_name_too(site: Site) -> None:
    old = await site.store("old")
    assert (await old.save("museum/cam1/x/1", {}, 0, writer="")).writer == "gate-1"


async def escalate(site: Site, name: str, camera: str) -> Any:
    request = request_to_proto(whole_frame(picture(64, 48), camera=camera))
    return await escalation_stub(await site.channel(name)).Escalate(request, timeout=10)


@pytest.mark.parametrize(
    ("name", "camera"),
    [("gate-1", "museum/cam1"), ("yard", "cam1"), ("yard", "default/cam1"), ("admin", "any")],
)
async def test_a_device_escalates_for_its_cameras(site: Site, name: str, camera: str) -> None:
    assert (await escalate(site, name, camera)).request_id == "r1"


@pytest.mark.parametrize(
    ("name", "camera"),
    [
        *(("gate-1", "museum/cam2"), ("gate-1", "museum/cam10"), ("gate-1", "cam1")),
        *(("yard", "museum/cam1"), ("unlisted", "museum/cam1")),
    ],
)
async def test_and_for_no_other(site: Site, name: str, camera: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await escalate(site, name, camera)
    assert error.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert "access.devices" in (error.value.details() or "")


async def test_a_stream_is_refused_question_by_question(site: Site) -> None:
    session = escalation_stub(await site.channel("gate-1")).Session()
    codes = []
    for index, camera in enumerate(("museum/cam2", "museum/cam1")):
        request = request_to_proto(whole_frame(picture(64, 48), camera=camera))
        await session.write(escalation_pb2.SessionRequest(index=index, mosaic=request))
        response = await session.read()
        codes.append((response.index, response.error.code))
    session.cancel()
    assert codes == [(0, grpc.StatusCode.PERMISSION_DENIED.value[0]), (1, 0)]


async def test_a_canvas_is_of_the_devices_own_camera(site: Site) -> None:
    session = escalation_stub(await site.channel("gate-1")).Session()
    image, answers = picture(64, 48), []
    theirs, ours = Asker(64, 48, camera="museum/cam2"), Asker(64, 48, camera="museum/cam1")
    for index, asker in enumerate((theirs, theirs, ours, ours), start=1):
        asker.index = index - 1
        await session.write(asker.request(image))
        response = await session.read()
        answers.append((response.status, response.error.code))
    session.cancel()
    denied = grpc.StatusCode.PERMISSION_DENIED.value[0]
    assert answers[0] == (escalation_pb2.SESSION_STATUS_ERROR, denied)
    # What was refused has opened nothing: the next update has nothing to go on from.
    assert answers[1][0] == escalation_pb2.SESSION_STATUS_NEED_KEYFRAME
    assert answers[2:] == [(escalation_pb2.SESSION_STATUS_OK, 0)] * 2
    assert len(site.cloud.canvases) <= 1


async def test_without_devices_every_certificate_may_do_everything(folder: Path) -> None:
    async with running(folder) as site:
        store = await site.store("unlisted")
        assert (await store.save("any/cam/x/1", {}, 0, writer="anybody")).writer == "anybody"
        with pytest.raises(NotFound):
            await store.load("any/cam/x/2")
