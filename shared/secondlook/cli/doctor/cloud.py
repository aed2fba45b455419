"""The cloud, hop by hop: name, TCP, TLS, HTTP/2, gRPC, health, version, clock, a real question."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import cast

import anyio
import cv2
import grpc
import grpc.aio
import numpy as np
from grpc_health.v1 import health_pb2

from secondlook.cli.doctor.address import Address
from secondlook.cli.doctor.chain import Check, Report, run_chain
from secondlook.cli.doctor.result import CheckResult, fail, failed, ok, skip, warn
from secondlook.cli.doctor.threads import in_thread
from secondlook.cli.doctor.tls import Tls, check_tls
from secondlook.cli.doctor.transport import check_http2, check_name, check_tcp
from secondlook.cli.main import EXIT_UNEXPECTED, EXIT_USAGE
from secondlook.cloud.rpc.health import TIME_KEY, VERSION_KEY
from secondlook.rpc.v1 import escalation_pb2_grpc
from secondlook.shared.clock import Clock, SystemClock
from secondlook.shared.errors import InvalidInput, NotFound, PermissionDenied
from secondlook.shared.values import Purpose, Region
from secondlook.shared.values.escalation import Escalation, ImageEncoding, Placement
from secondlook.shared.wire.escalation import request_to_proto, verdict_from_proto
from secondlook.shared.wire.status import error_from_status

CAMERA = "doctor"

_FRAME_PX = 96
_REGION_PX = 64
_MAX_SKEW_S = 2.0


@dataclass(slots=True)
class CloudVisit:
    """One walk to a cloud, and what was learnt on the way.

    Args:
        address: where it is.
        tls: how the connection is secured; ``None``: in the clear.
        model: the model to ask; empty for the service's default.
        timeout_s: longest wait at each hop.
        clock: our clocks.
        camera: the camera to speak for, where the cloud cares.
    """

    address: Address
    tls: Tls | None = None
    model: str = ""
    timeout_s: float = 5.0
    clock: Clock = field(default_factory=SystemClock)
    camera: str = CAMERA
    _channel: grpc.aio.Channel | None = None
    _told: dict[str, str] = field(default_factory=dict)
    _asked_at: tuple[float, float] = (0.0, 0.0)

    async def walk(self, report: Report) -> bool:
        """Check every hop in order; the first that fails ends it.

        Returns:
            Whether none failed.
        """
        at, limit = self.address, self.timeout_s
        checks = [
            Check("cloud: name", lambda n: check_name(n, at), "the name server says nothing"),
            Check("cloud: TCP", lambda n: check_tcp(n, at, limit)),
            Check("cloud: TLS", lambda n: check_tls(n, at, self.tls, limit)),
            Check("cloud: HTTP/2", lambda n: check_http2(n, at, self.tls, limit)),
            Check("cloud: gRPC", self._connect),
            Check("cloud: health", self._health),
            Check("cloud: version", self._version),
            Check("cloud: clock", self._clock_skew),
            Check(
                "cloud: escalate",
                self._escalate,
                "no verdict",
                "the service is overloaded, or its model is slow: see its log, raise --timeout",
            ),
        ]
        try:
            # The hops below gRPC bound themselves, to say more than "late"; they get time to do so.
            return await run_chain(checks, limit + 1.0, report)
        finally:
            if self._channel is not None:
                with anyio.CancelScope(shield=True):
                    await self._channel.close()

    async def _connect(self, name: str) -> CheckResult:
        credentials = None if self.tls is None else await in_thread(_credentials, self.tls)
        self._channel = _open_channel(self.address, self.tls, credentials)
        started = time.monotonic()
        await self._channel.channel_ready()
        return ok(name, f"the channel is ready, {(time.monotonic() - started) * 1e3:.0f} ms")

    async def _health(self, name: str) -> CheckResult:
        # By hand, because the generated stub of health checking is typed for blocking calls only.
        check = self._open.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        before = self.clock.wall()
        call = check(health_pb2.HealthCheckRequest(), timeout=self.timeout_s)
        try:
            self._told = {str(k): str(v) for k, v in (await call.initial_metadata())}
            answer = await call
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                return warn(
                    name,
                    "the server has no health service",
                    "it may be no Secondlook cloud, or a proxy hides it; the next hops will tell",
                )
            return failed(name, error_from_status(error.code(), error.details() or ""))
        self._asked_at = (before, self.clock.wall())
        if answer.status == health_pb2.HealthCheckResponse.SERVING:
            return ok(name, "serving")
        state = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        return fail(
            name,
            f"{state}: the service is starting or draining",
            "wait until it has loaded its models, or see why it was told to stop",
        )

    async def _version(self, name: str) -> CheckResult:
        theirs, ours = self._told.get(VERSION_KEY, ""), await in_thread(version, "secondlook")
        if not theirs:
            return warn(name, "the server does not tell its version", "it may be no Secondlook")
        if theirs.split(".")[:2] != ours.split(".")[:2]:
            return warn(
                name,
                f"the cloud has {theirs}, we have {ours}",
                "wire version 1 holds between them, but features may differ: upgrade the older",
            )
        return ok(name, f"the cloud has {theirs}, we have {ours}")

    async def _clock_skew(self, name: str) -> CheckResult:
        said = self._told.get(TIME_KEY, "")
        if not said.isdigit() or len(said) > 15:
            return skip(name, "the server does not tell its time")
        before, after = self._asked_at
        theirs = int(said) / 1000
        # Their time was taken somewhere between our two: only what lies outside is a difference.
        skew = theirs - after if theirs > after else min(0.0, theirs - before)
        if abs(skew) > _MAX_SKEW_S:
            side = "behind" if skew > 0 else "ahead of"
            return warn(
                name,
                f"our clock is {abs(skew):.1f} s {side} the cloud's",
                "let both keep time by NTP: dates in records and certificates depend on it",
            )
        return ok(name, f"ours and the cloud's agree within {max(abs(skew), after - before):.2f} s")

    async def _escalate(self, name: str) -> CheckResult:
        question = grey_escalation(self.camera, self.model, self.clock.wall(), self.timeout_s)
        stub = cast(
            "escalation_pb2_grpc.EscalationAsyncStub",
            escalation_pb2_grpc.EscalationStub(self._open),
        )
        started = time.monotonic()
        try:
            answer = await stub.Escalate(request_to_proto(question), timeout=self.timeout_s)
        except grpc.aio.AioRpcError as error:
            return self._refused(name, error)
        took_s = time.monotonic() - started
        verdict = verdict_from_proto(answer, question)
        return ok(
            name,
            f"{verdict.model} {verdict.version} answered in {took_s * 1e3:.0f} ms "
            f"({verdict.timings.infer_s * 1e3:.0f} ms in the network, "
            f"{verdict.timings.queue_s * 1e3:.0f} ms waiting)",
        )

    def _refused(self, name: str, error: grpc.aio.AioRpcError) -> CheckResult:
        details = error.details() or ""
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return fail(
                name,
                "a gRPC server, but not Secondlook's",
                "correct the address",
                EXIT_USAGE,
            )
        cause = error_from_status(error.code(), details)
        if isinstance(cause, NotFound):
            return failed(name, cause, "ask for a model that the cloud serves, or leave it empty")
        if isinstance(cause, PermissionDenied):
            return failed(name, cause, f"our certificate may not speak for camera {self.camera!r}")
        if isinstance(cause, InvalidInput):
            return failed(name, cause, "the two versions of Secondlook disagree: upgrade the older")
        if error.code() is grpc.StatusCode.INTERNAL:
            return fail(name, details, "look for the incident in the cloud's log", EXIT_UNEXPECTED)
        return failed(name, cause, "see the cloud's log and load")

    @property
    def _open(self) -> grpc.aio.Channel:
        assert self._channel is not None
        return self._channel


def grey_escalation(camera: str, model: str, wall_s: float, useful_for_s: float) -> Escalation:
    """A small real question about nothing: one grey region of a grey frame.

    The region is not the whole frame, so that no cloud takes it for the camera's background.
    """
    grey = np.full((_REGION_PX, _REGION_PX, 3), 114, np.uint8)
    done, jpeg = cv2.imencode(".jpg", grey)
    assert done
    region = Region(16, 16, _REGION_PX, _REGION_PX, "a check by secondlook doctor")
    return Escalation(
        request_id=f"doctor-{secrets.token_hex(8)}",
        camera=camera,
        sequence=0,
        captured_at=wall_s,
        frame_width=_FRAME_PX,
        frame_height=_FRAME_PX,
        image=jpeg.tobytes(),
        encoding=ImageEncoding.JPEG,
        placements=(Placement(region, 0, 0, _REGION_PX, _REGION_PX),),
        purpose=Purpose.UNSURE,
        useful_for_s=useful_for_s,
        model=model,
    )


def _credentials(tls: Tls) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        root_certificates=tls.ca.read_bytes() if tls.ca else None,
        private_key=tls.key.read_bytes() if tls.key else None,
        certificate_chain=tls.certificate.read_bytes() if tls.certificate else None,
    )


def _open_channel(
    address: Address, tls: Tls | None, credentials: grpc.ChannelCredentials | None
) -> grpc.aio.Channel:
    # Of its own: a connection shared with an earlier check would say nothing new.
    options: list[tuple[str, int | str]] = [("grpc.use_local_subchannel_pool", 1)]
    if credentials is None:
        return grpc.aio.insecure_channel(address.target, options=options)
    if tls is not None and tls.server_name:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return grpc.aio.secure_channel(address.target, credentials, options=options)
