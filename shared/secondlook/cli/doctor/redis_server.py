"""Redis, where the cloud keeps its context memory: reachable, durable, allowed to run scripts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from secondlook.cli.config import redact
from secondlook.cli.doctor.address import Address
from secondlook.cli.doctor.chain import Check, Report, run_chain
from secondlook.cli.doctor.result import CheckResult, fail, failed, ok, warn
from secondlook.cli.doctor.threads import in_thread
from secondlook.cli.doctor.transport import check_name, check_tcp
from secondlook.cli.main import EXIT_USAGE
from secondlook.shared.errors import MissingDependency

if TYPE_CHECKING:
    from redis import Redis

OLDEST_REDIS = (6, 2)

_PORT = 6379
_REFUSALS = ("authenticat", "noauth", "password", "wrongpass")


class RedisVisit:
    """One look at a Redis.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.
        timeout_s: longest wait at each step.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._client: Redis | None = None

    async def walk(self, report: Report) -> bool:
        """Check in order; returns whether none failed."""
        checks = [
            *self._network_checks(),
            Check("redis: connect", self._connect),
            Check("redis: version", self._version),
            Check("redis: durability", self._durability),
            Check("redis: scripting", self._scripting),
        ]
        try:
            # The hops of the network bound themselves, to say more than "late".
            return await run_chain(checks, self._timeout_s + 1.0, report)
        finally:
            if self._client is not None:
                self._client.close()

    def _network_checks(self) -> list[Check]:
        """The hops to a Redis on the network; none where the URL itself is wrong, or a path."""
        try:
            parts = urlsplit(self._url)
            host, port = parts.hostname or "", parts.port or _PORT
        except ValueError:
            return []
        if parts.scheme not in ("redis", "rediss") or not host:
            return []
        address = Address(host, port)

        async def tcp(name: str) -> CheckResult:
            result = await check_tcp(name, address, self._timeout_s)
            # What is right for the cloud service is of no help here.
            remedy = result.remedy.replace("start `secondlook cloud serve` there", "start Redis")
            return replace(result, remedy=remedy)

        return [
            Check("redis: name", lambda name: check_name(name, address)),
            Check("redis: TCP", tcp),
        ]

    async def _connect(self, name: str) -> CheckResult:
        try:
            # Importing reads files, and so does making the client.
            self._client = await in_thread(_open, self._url, self._timeout_s)
        except ModuleNotFoundError:
            return failed(name, MissingDependency("redis-py", "cloud"))
        except ValueError as error:
            shown = redact("url", self._url)
            return fail(name, f"{shown}: {error}", "write redis://HOST:PORT/0", EXIT_USAGE)
        from redis import exceptions

        shown = redact("url", self._url)
        try:
            await in_thread(self._client.ping)
        except (exceptions.RedisError, OSError) as error:
            # A refused password comes as AuthenticationError, ConnectionError or ResponseError,
            # depending on the protocol that client and server agreed on.
            if any(word in str(error).lower() for word in _REFUSALS):
                return fail(
                    name,
                    f"{shown} refuses us: {_first_line(error)}",
                    "set user and password in memory.url",
                    EXIT_USAGE,
                )
            if isinstance(error, exceptions.ResponseError):
                return fail(name, f"{shown}: {_first_line(error)}", "see Redis' log and its ACLs")
            return fail(
                name,
                f"{shown} does not answer as Redis does: {_first_line(error)}",
                "start Redis there, or correct memory.url",
            )
        return ok(name, f"{shown} answers PING")

    async def _version(self, name: str) -> CheckResult:
        info = await self._info("server")
        if "redis_version" not in info:
            return warn(
                name, "this user may not ask INFO", "allow it +info, to let this be checked"
            )
        found = str(info["redis_version"])
        numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
        mode = info.get("redis_mode", "standalone")
        if numbers < OLDEST_REDIS:
            wanted = ".".join(map(str, OLDEST_REDIS))
            return fail(name, f"Redis {found}", f"upgrade Redis to {wanted} or newer", EXIT_USAGE)
        return ok(name, f"Redis {found}, {mode}")

    async def _durability(self, name: str) -> CheckResult:
        persistence, memory = await self._info("persistence"), await self._info("memory")
        if "aof_enabled" not in persistence:
            return warn(
                name, "this user may not ask INFO", "allow it +info, to let this be checked"
            )
        if not persistence["aof_enabled"]:
            return warn(
                name,
                "the append-only file is off: a killed Redis forgets acknowledged saves",
                "set `appendonly yes` and `appendfsync everysec` (or `always`) in redis.conf",
            )
        policy = str(memory.get("maxmemory_policy", "noeviction"))
        if policy != "noeviction" and memory.get("maxmemory"):
            return warn(
                name,
                f"maxmemory-policy is {policy}: Redis drops records when it is full",
                "set `maxmemory-policy noeviction`",
            )
        if persistence.get("aof_last_write_status", "ok") != "ok":
            return fail(
                name, "the last write to the append-only file failed", "look at Redis' disk"
            )
        return ok(name, f"append-only file on, {policy}")

    async def _scripting(self, name: str) -> CheckResult:
        from redis import exceptions

        assert self._client is not None
        try:
            answer = await in_thread(self._client.eval, "return 'yes'", 0)
        except exceptions.ResponseError as error:
            return fail(
                name,
                f"scripts are refused: {_first_line(error)}",
                "compare-and-set is a script: allow this user +eval, +evalsha and +script",
                EXIT_USAGE,
            )
        return (
            ok(name, "scripts may run")
            if answer == b"yes"
            else fail(name, f"a script that says yes gave {answer!r}", "is this really Redis?")
        )

    async def _info(self, section: str) -> dict[str, Any]:
        from redis import exceptions

        assert self._client is not None
        try:
            found: dict[str, Any] = await in_thread(self._client.info, section)
        except exceptions.RedisError:
            # An ACL may forbid INFO; what it would have told is then simply unknown.
            return {}
        return found


def _open(url: str, timeout_s: float) -> Redis:
    # The blocking client: a look is one call after another, and its threads may be left behind.
    import redis

    client: Redis = redis.Redis.from_url(
        url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s
    )
    return client


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
