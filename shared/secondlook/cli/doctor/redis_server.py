"""Redis, where the cloud keeps its context memory: reachable, durable, allowed to run scripts."""

from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from secondlook.cli.doctor.address import Address
from secondlook.cli.doctor.chain import Check, Report, run_chain
from secondlook.cli.doctor.result import CheckResult, fail, failed, ok, warn
from secondlook.cli.doctor.threads import in_thread
from secondlook.cli.doctor.transport import check_name, check_tcp
from secondlook.cli.main import EXIT_USAGE
from secondlook.shared.errors import InvalidConfig, MissingDependency
from secondlook.shared.memory.redis_url import (
    Kind,
    RedisUrl,
    parse_redis_url,
    without_password,
)

if TYPE_CHECKING:
    from redis import Redis

OLDEST_REDIS = (6, 2)

_REFUSALS = ("authenticat", "noauth", "password", "wrongpass")


class RedisVisit:
    """One look at a Redis.

    Args:
        url: see `secondlook.shared.memory.redis_url`. Of a Cluster, the first node that can be
            reached is looked at; of Sentinels, the master they name.
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
            target = parse_redis_url(self._url)
        except InvalidConfig:
            return []
        if target.kind is not Kind.SERVER:
            return []
        address = Address(*target.hosts[0])

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
        shown = without_password(self._url)
        try:
            target = parse_redis_url(self._url)
        except InvalidConfig as error:
            return fail(name, error.message, f"write {error.remedy}", EXIT_USAGE)
        try:
            # Importing reads files, and so does making the client.
            self._client = await in_thread(_open, target, self._timeout_s)
        except ModuleNotFoundError:
            return failed(name, MissingDependency("redis-py", "cloud"))
        except LookupError as error:
            return fail(name, f"{shown}: {error}", "start them, or correct memory.url")
        from redis import exceptions

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
                "set `appendonly yes` and `appendfsync always` in redis.conf",
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
        loses = await self._loses()
        if loses:
            return warn(name, loses, "set `appendfsync always`")
        return ok(name, f"append-only file on, {policy}")

    async def _loses(self) -> str:
        """What the server has acknowledged and not flushed; empty: nothing, or it does not say."""
        from redis import exceptions

        assert self._client is not None
        try:
            found = await in_thread(self._client.config_get, "appendfsync")
        except exceptions.RedisError:
            return ""
        policy = found.get("appendfsync", "always")
        if policy == "always":
            return ""
        lost = "2 seconds" if policy == "everysec" else "half a minute"
        return f"appendfsync is {policy}: a crash loses up to {lost} of acknowledged saves"

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


def _open(target: RedisUrl, timeout_s: float) -> Redis:
    """The blocking client: a look is one call after another, and its threads may be left behind.

    Raises:
        LookupError: no Sentinel names a master, or no node of a Cluster answers.
    """
    from redis import Redis, exceptions
    from redis.backoff import NoBackoff
    from redis.retry import Retry
    from redis.sentinel import Sentinel

    limits: dict[str, Any] = {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": Retry(NoBackoff(), 0),
    }
    options = dict(target.options)
    guards = {
        "username": options.pop("sentinel_username", None),
        "password": options.pop("sentinel_password", None),
    }
    tls: dict[str, Any] = {"ssl": target.tls, **options}
    if "ssl_check_hostname" in tls:
        tls["ssl_check_hostname"] = tls["ssl_check_hostname"] in ("yes", "true", "1")
    account: dict[str, Any] = {
        "username": target.username or None,
        "password": target.password or None,
    }
    if target.kind is Kind.UNIX:
        return Redis(unix_socket_path=target.path, db=target.db, **account, **limits)
    host, port = target.hosts[0]
    if target.kind is Kind.SENTINEL:
        sentinel = Sentinel(  # type: ignore[no-untyped-call]
            target.hosts, sentinel_kwargs={**guards, **tls, **limits}
        )
        try:
            host, port = sentinel.discover_master(target.name)  # type: ignore[no-untyped-call]
        except exceptions.RedisError as error:
            raise LookupError(_first_line(error)) from error
    if target.kind is Kind.CLUSTER:
        host, port = _first_that_answers(target.hosts, timeout_s)
    return Redis(host=host, port=port, db=target.db, **account, **tls, **limits)


def _first_that_answers(hosts: tuple[tuple[str, int], ...], timeout_s: float) -> tuple[str, int]:
    for host in hosts:
        try:
            socket.create_connection(host, timeout=timeout_s).close()
        except OSError:
            continue
        return host
    raise LookupError("no node can be reached")


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
