"""The walk to the cloud, against real servers that are wrong in one way each."""

from __future__ import annotations

import socket
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from support.doctor import (
    FakeEscalation,
    FakeHealth,
    Pki,
    Results,
    closed_port,
    gibberish,
    hang_up,
    http1,
    serve_grpc,
    serve_raw,
    silent,
    tls_without_http2,
)

from secondlook.cli.doctor.address import Address
from secondlook.cli.doctor.cloud import CloudVisit, grey_escalation
from secondlook.cli.doctor.result import Status, exit_code
from secondlook.cli.doctor.tls import Tls
from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.shared.clock import ManualClock

pytestmark = pytest.mark.anyio

HOPS = ("name", "TCP", "TLS", "HTTP/2", "gRPC", "health", "version", "clock", "escalate")
SHORT_S = 0.2
"""Waited out in full by the tests of servers that say nothing."""


async def walk(
    address: Address, tls: Tls | None = None, timeout_s: float = 5.0, **more: object
) -> Results:
    results = Results()
    passed = await CloudVisit(address, tls, timeout_s=timeout_s, **more).walk(results)
    assert passed is all(r.status is not Status.FAIL for r in results)
    assert [r.name for r in results] == [f"cloud: {hop}" for hop in HOPS]
    return results


def assert_fails_at(results: Results, hop: str, code: int = 4) -> None:
    """That hop failed with a remedy, all before it passed, all after it are marked skipped."""
    shape = results.shape()
    at = HOPS.index(hop)
    assert shape[hop] == "fail", shape
    assert all(shape[earlier] in ("ok", "warn", "skip") for earlier in HOPS[:at])
    assert all(shape[later] == "skip" for later in HOPS[at + 1 :])
    assert results.first_failure.remedy
    assert exit_code(results) == code


async def test_a_good_cloud_passes_every_hop() -> None:
    escalation = FakeEscalation()
    async with serve_grpc(health=FakeHealth(), escalation=escalation) as address:
        results = await walk(address)
    assert set(results.shape().values()) <= {"ok", "skip"}
    assert exit_code(results) == 0
    assert "heavy 3 answered" in results.of("cloud: escalate").detail
    assert len(escalation.asked) == 1
    assert escalation.asked[0].camera == "doctor"


async def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    results = await walk(Address("cloud.invalid", 50051))
    assert_fails_at(results, "name")
    assert "cloud.invalid is not known" in results.first_failure.detail


async def test_an_impossible_name_is_a_failure_not_a_crash() -> None:
    results = await walk(Address("x" * 300, 50051))
    assert_fails_at(results, "name")


async def test_a_closed_port() -> None:
    results = await walk(Address("127.0.0.1", closed_port()))
    assert_fails_at(results, "TCP")
    assert "nothing listens" in results.first_failure.detail


async def test_a_missing_unix_socket(tmp_path: Path) -> None:
    results = await walk(Address("", 0, str(tmp_path / "none.sock")))
    assert_fails_at(results, "TCP")


async def test_a_port_that_accepts_and_says_nothing() -> None:
    with serve_raw(silent) as address:
        results = await walk(address, timeout_s=SHORT_S)
    assert_fails_at(results, "HTTP/2")
    assert "says nothing" in results.first_failure.detail


async def test_a_silent_port_where_tls_is_expected() -> None:
    with serve_raw(silent) as address:
        results = await walk(address, Tls(), timeout_s=SHORT_S)
    assert_fails_at(results, "TLS")
    assert "says nothing" in results.first_failure.detail


async def test_a_web_server() -> None:
    with serve_raw(http1) as address:
        results = await walk(address)
    assert_fails_at(results, "HTTP/2")
    assert "web server of HTTP/1" in results.first_failure.detail


async def test_a_mail_server() -> None:
    with serve_raw(gibberish) as address:
        results = await walk(address)
    assert_fails_at(results, "HTTP/2")
    assert "is not HTTP/2" in results.first_failure.detail


async def test_a_server_that_hangs_up() -> None:
    with serve_raw(hang_up) as address:
        results = await walk(address)
    assert_fails_at(results, "HTTP/2")


async def test_tls_against_a_web_server() -> None:
    with serve_raw(http1) as address:
        results = await walk(address, Tls())
    assert_fails_at(results, "TLS")
    assert "does not speak TLS" in results.first_failure.detail


async def test_plaintext_against_a_tls_server(tmp_path: Path) -> None:
    credentials = Pki(tmp_path).credentials("127.0.0.1")
    async with serve_grpc(health=FakeHealth(), credentials=credentials) as address:
        results = await walk(address)
    assert_fails_at(results, "HTTP/2")
    assert "TLS" in results.first_failure.detail + results.first_failure.remedy


async def test_tls_with_the_right_authority(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    credentials = pki.credentials("127.0.0.1")
    async with serve_grpc(
        health=FakeHealth(), escalation=FakeEscalation(), credentials=credentials
    ) as address:
        results = await walk(address, Tls(ca=pki.ca))
    assert exit_code(results) == 0
    assert "TLSv1.3" in results.of("cloud: TLS").detail


async def test_tls_with_an_unknown_authority(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    async with serve_grpc(credentials=pki.credentials("127.0.0.1")) as address:
        results = await walk(address, Tls(ca=pki.other_ca))
    assert_fails_at(results, "TLS")
    assert "certificate refused" in results.first_failure.detail
    assert "CA" in results.first_failure.remedy


async def test_tls_for_another_name(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    async with serve_grpc(
        health=FakeHealth(),
        escalation=FakeEscalation(),
        credentials=pki.credentials("cloud.example"),
    ) as address:
        results = await walk(address, Tls(ca=pki.ca))
        assert_fails_at(results, "TLS")
        assert "name in the certificate" in results.first_failure.remedy
        named = await walk(address, Tls(ca=pki.ca, server_name="cloud.example"))
    assert exit_code(named) == 0


async def test_tls_that_asks_for_a_client_certificate(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    async with serve_grpc(
        health=FakeHealth(),
        escalation=FakeEscalation(),
        credentials=pki.credentials("127.0.0.1", ask_clients=True),
    ) as address:
        # TLS 1.3 tells a client without a certificate only after the handshake.
        without = await walk(address, Tls(ca=pki.ca))
        assert exit_code(without) == 4
        assert "client certificate" in without.first_failure.remedy
        certificate, key = pki.issue("edge-7")
        with_it = await walk(address, Tls(ca=pki.ca, certificate=certificate, key=key))
    assert exit_code(with_it) == 0


async def test_tls_without_http2(tmp_path: Path) -> None:
    pki = Pki(tmp_path)
    with serve_raw(tls_without_http2(pki.server_context("127.0.0.1"))) as address:
        results = await walk(address, Tls(ca=pki.ca))
    assert_fails_at(results, "TLS")
    assert "does not offer HTTP/2" in results.first_failure.detail


async def test_certificate_files_that_are_none(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("not a certificate")
    async with serve_grpc(health=FakeHealth()) as address:
        assert_fails_at(await walk(address, Tls(ca=broken)), "TLS", 2)
        assert_fails_at(await walk(address, Tls(ca=tmp_path / "absent.pem")), "TLS", 2)


async def test_a_grpc_server_without_health_that_is_not_ours() -> None:
    async with serve_grpc() as address:
        results = await walk(address)
    assert results.of("cloud: health").status is Status.WARN
    assert_fails_at(results, "escalate", 2)
    assert "not Secondlook's" in results.first_failure.detail


async def test_a_cloud_behind_a_proxy_that_hides_health() -> None:
    async with serve_grpc(escalation=FakeEscalation()) as address:
        results = await walk(address)
    assert exit_code(results) == 0
    assert results.of("cloud: health").status is Status.WARN
    assert results.of("cloud: version").status is Status.WARN


async def test_a_draining_cloud() -> None:
    health = FakeHealth(health_pb2.HealthCheckResponse.NOT_SERVING)
    async with serve_grpc(health=health, escalation=FakeEscalation()) as address:
        results = await walk(address)
    assert_fails_at(results, "health")
    assert "draining" in results.first_failure.detail


@pytest.mark.parametrize(
    ("told", "status"),
    [("0.1.9", "ok"), ("0.2.0", "warn"), ("7.0", "warn"), ("", "warn"), ("x" * 900, "warn")],
)
async def test_versions(told: str, status: str) -> None:
    health = FakeHealth(metadata=(("secondlook-version", told),) if told else ())
    async with serve_grpc(health=health, escalation=FakeEscalation()) as address:
        results = await walk(address)
    assert results.shape()["version"] == status


@pytest.mark.parametrize(
    ("ahead_s", "status", "told"),
    [(0.0, "ok", "agree"), (600.0, "warn", "600.0 s behind"), (-90.0, "warn", "90.0 s ahead of")],
)
async def test_the_clocks_difference(ahead_s: float, status: str, told: str) -> None:
    clock = ManualClock()
    theirs_ms = str(int((clock.wall() + ahead_s) * 1000))
    health = FakeHealth(metadata=(("secondlook-time-ms", theirs_ms),))
    async with serve_grpc(health=health, escalation=FakeEscalation()) as address:
        results = await walk(address, clock=clock)
    assert results.shape()["clock"] == status
    assert told in results.of("cloud: clock").detail


@pytest.mark.parametrize(
    ("code", "details", "exit_with"),
    [
        (grpc.StatusCode.NOT_FOUND, "no model 'x'", 1),
        (grpc.StatusCode.PERMISSION_DENIED, "not your camera", 1),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full", 1),
        (grpc.StatusCode.UNAVAILABLE, "draining", 4),
        (grpc.StatusCode.INTERNAL, "internal error, incident abc", 1),
        (grpc.StatusCode.INVALID_ARGUMENT, "image is not a JPEG", 2),
    ],
)
async def test_a_refused_question(code: grpc.StatusCode, details: str, exit_with: int) -> None:
    escalation = FakeEscalation(error=(code, details))
    async with serve_grpc(health=FakeHealth(), escalation=escalation) as address:
        results = await walk(address)
    assert_fails_at(results, "escalate", exit_with)
    assert details in results.first_failure.detail


async def test_a_cloud_that_answers_another_question() -> None:
    hostile = pb.EscalateResponse(request_id="somebody-elses", model="m", model_version="1")
    async with serve_grpc(
        health=FakeHealth(), escalation=FakeEscalation(answer=hostile)
    ) as address:
        results = await walk(address)
    assert_fails_at(results, "escalate", 2)


def test_the_question_is_small_and_is_not_a_background() -> None:
    question = grey_escalation("doctor", "", 1_700_000_000.0, 5.0)
    assert len(question.image) < 1500
    assert not question.whole_frame
