"""Servers on loopback that are wrong in one way each, for the checks of `secondlook doctor`."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import grpc.aio
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc

from secondlook.cli.doctor.address import Address
from secondlook.cli.doctor.result import CheckResult, Status
from secondlook.rpc.v1 import escalation_pb2 as pb
from secondlook.rpc.v1 import escalation_pb2_grpc as pb_grpc
from support.redis import redis_server_path

SERVING = health_pb2.HealthCheckResponse.SERVING


class Results(list[CheckResult]):
    """Collects what checks report."""

    def __call__(self, result: CheckResult) -> None:
        self.append(result)

    def of(self, name: str) -> CheckResult:
        """The result of the check of that name."""
        return next(result for result in self if result.name == name)

    @property
    def first_failure(self) -> CheckResult:
        """The hop that was named."""
        return next(result for result in self if result.status is Status.FAIL)

    def shape(self) -> dict[str, str]:
        """Name and status of each, without the chain's prefix."""
        return {r.name.partition(": ")[2]: r.status.value for r in self}


def closed_port() -> int:
    """A port on which nothing listens, as far as one can know."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serve_raw(talk: Callable[[socket.socket], None]) -> Iterator[Address]:
    """A TCP server that calls ``talk`` with each connection, then closes it."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connections.append(connection)
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

        def handle(connection: socket.socket) -> None:
            try:
                talk(connection)
            except OSError:
                pass  # the doctor hung up first
            finally:
                connection.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield Address("127.0.0.1", server.getsockname()[1])
        finally:
            server.shutdown(socket.SHUT_RDWR)
            for connection in connections:
                connection.close()
            thread.join(5)


def silent(connection: socket.socket) -> None:
    """Accepts, reads, and says nothing until the other side leaves."""
    while connection.recv(4096):
        pass


def http1(connection: socket.socket) -> None:
    """Answers as a plain web server answers words it does not know."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def hang_up(connection: socket.socket) -> None:
    """Closes at the first word."""
    connection.recv(4096)


def gibberish(connection: socket.socket) -> None:
    """Speaks something else."""
    connection.recv(4096)
    connection.sendall(b"220 mail.example ESMTP ready\r\n")


def tls_without_http2(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    """A TLS server that offers HTTP/1.1 only."""
    context.set_alpn_protocols(["http/1.1"])

    def talk(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(4096)

    return talk


class Pki:
    """Authorities and certificates in a folder, made for one test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))
        self.other_ca = folder / "other-ca.pem"
        trustme.CA().cert_pem.write_to_path(str(self.other_ca))

    def issue(self, *names: str) -> tuple[Path, Path]:
        """Certificate chain and key for these names."""
        issued = self._authority.issue_cert(*names)
        certificate = self._folder / f"{names[0]}.pem"
        key = self._folder / f"{names[0]}.key"
        issued.private_key_pem.write_to_path(str(key))
        for index, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(str(certificate), append=index > 0)
        return certificate, key

    def server_context(self, *names: str) -> ssl.SSLContext:
        """A server's context with a certificate for these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(*names))
        return context

    def credentials(self, *names: str, ask_clients: bool = False) -> grpc.ServerCredentials:
        """gRPC server credentials with a certificate for these names."""
        certificate, key = self.issue(*names)
        return grpc.ssl_server_credentials(
            [(key.read_bytes(), certificate.read_bytes())],
            root_certificates=self.ca.read_bytes() if ask_clients else None,
            require_client_auth=ask_clients,
        )


class FakeHealth(health_pb2_grpc.HealthServicer):
    """Says what it was told to say, and its version and time."""

    def __init__(
        self,
        status: health_pb2.HealthCheckResponse.ServingStatus = SERVING,
        metadata: tuple[tuple[str, str], ...] | None = None,
    ) -> None:
        self._status = status
        ours = (("secondlook-version", version("secondlook")),)
        self._metadata = ours if metadata is None else metadata

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        await context.send_initial_metadata(self._metadata)
        return health_pb2.HealthCheckResponse(status=self._status)


class FakeEscalation(pb_grpc.EscalationServicer):
    """Answers with nothing seen, or with an error."""

    def __init__(
        self,
        error: tuple[grpc.StatusCode, str] | None = None,
        answer: pb.EscalateResponse | None = None,
    ) -> None:
        self._error = error
        self._answer = answer
        self.asked: list[pb.EscalateRequest] = []

    async def Escalate(
        self, request: pb.EscalateRequest, context: grpc.aio.ServicerContext
    ) -> pb.EscalateResponse:
        self.asked.append(request)
        if self._error is not None:
            await context.abort(*self._error)
        if self._answer is not None:
            return self._answer
        return pb.EscalateResponse(
            request_id=request.request_id,
            model="heavy",
            model_version="3",
            timings=pb.Timings(infer_us=12_000, queue_us=1_000, total_us=14_000),
        )


@asynccontextmanager
async def serve_grpc(
    *,
    health: health_pb2_grpc.HealthServicer | None = None,
    escalation: pb_grpc.EscalationServicer | None = None,
    credentials: grpc.ServerCredentials | None = None,
) -> AsyncIterator[Address]:
    """A gRPC server with what is given."""
    server = grpc.aio.server()
    if health is not None:
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
    if escalation is not None:
        pb_grpc.add_EscalationServicer_to_server(escalation, server)
    where = "127.0.0.1:0"
    port = (
        server.add_insecure_port(where)
        if credentials is None
        else server.add_secure_port(where, credentials)
    )
    await server.start()
    try:
        yield Address("127.0.0.1", port)
    finally:
        await server.stop(None)


@contextmanager
def serve_redis(*directives: str) -> Iterator[str]:
    """A real Redis with these lines in its settings, on a Unix socket; yields its URL."""
    # A short name: the path of a Unix socket has at most 107 bytes.
    with TemporaryDirectory(prefix="sl-doctor-") as name:
        path = Path(name) / "redis.sock"
        lines = ["port 0", f"unixsocket {path}", f"dir {name}", 'save ""', *directives]
        settings = Path(name) / "redis.conf"
        settings.write_text("\n".join(lines) + "\n")
        with subprocess.Popen(
            [redis_server_path(), str(settings)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdout is not None
            try:
                said = []
                for line in process.stdout:
                    said.append(line)
                    if b"ready to accept connections" in line.lower():
                        break
                else:
                    raise AssertionError(b"".join(said).decode())
                yield f"unix://{path}"
            finally:
                process.terminate()
                process.stdout.read()
