"""The URLs of a Redis, understood without the redis library.

=============================================  ===================================================
``redis://[USER:PASSWORD@]HOST[:PORT][/DB]``   one server
``rediss://...``                               the same over TLS
``unix://[USER:PASSWORD@]/PATH[?db=DB]``       one server on this machine
``redis+cluster://[...@]HOST:PORT,HOST:PORT``  a Redis Cluster; any of its nodes
``rediss+cluster://...``                       the same over TLS
``redis+sentinel://[...@]HOST:PORT,HOST:PORT/NAME[/DB]``  what these sentinels call NAME
``rediss+sentinel://...``                      the same over TLS, sentinels too
=============================================  ===================================================

User and password are percent-encoded. Options go into the query:

==============================================  ==================================================
``username``, ``password``                      in the place of those before the ``@``
``sentinel_username``, ``sentinel_password``    for the sentinels themselves; otherwise none is sent
``ssl_ca_certs``                                a file with the authorities to trust
``ssl_certfile``, ``ssl_keyfile``               a certificate of ours, and its key
``ssl_check_hostname``                          ``no``: the certificate may be for another name
``ssl_cert_reqs``                               ``none``: any certificate will do
``db``                                          number of the database; not in a Cluster
==============================================  ==================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from urllib.parse import parse_qsl, unquote

from secondlook.shared.errors import InvalidConfig

REMEDY = (
    "redis://HOST:PORT/DB, rediss://, unix:///PATH, "
    "redis+cluster://HOST:PORT,HOST:PORT or redis+sentinel://HOST:PORT,HOST:PORT/NAME/DB"
)
PORT = 6379
SENTINEL_PORT = 26379
_TLS_OPTIONS = frozenset(
    ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname", "ssl_cert_reqs")
)
_OPTIONS = frozenset(("username", "password", "db"))
_SENTINEL_OPTIONS = frozenset(("sentinel_username", "sentinel_password"))


class Kind(Enum):
    """How the server is found."""

    SERVER = "server"
    UNIX = "unix"
    CLUSTER = "cluster"
    SENTINEL = "sentinel"


_SCHEMES = {
    "redis": (Kind.SERVER, False),
    "rediss": (Kind.SERVER, True),
    "unix": (Kind.UNIX, False),
    "redis+cluster": (Kind.CLUSTER, False),
    "rediss+cluster": (Kind.CLUSTER, True),
    "redis+sentinel": (Kind.SENTINEL, False),
    "rediss+sentinel": (Kind.SENTINEL, True),
}


@dataclass(frozen=True)
class RedisUrl:
    """A URL, taken apart.

    Attributes:
        kind: how the server is found.
        tls: whether connections are encrypted.
        hosts: names and ports: of the server, of some nodes or of the sentinels.
        path: of the unix socket.
        name: what the sentinels call the master.
        db: number of the database.
        username: who we are there; empty: the default user.
        password: of that user; empty: none.
        options: what else the query said, checked.
        shown: the URL without user, password and query, for people to read.
    """

    kind: Kind
    tls: bool
    hosts: tuple[tuple[str, int], ...]
    path: str
    name: str
    db: int
    username: str = field(repr=False)
    password: str = field(repr=False)
    options: dict[str, str] = field(repr=False)
    shown: str


def is_redis_url(url: str) -> bool:
    """Whether the URL names a Redis, well or badly."""
    return url.partition("://")[0] in _SCHEMES and "://" in url


def without_password(url: str) -> str:
    """The URL without user, password and query, for people to read."""
    scheme, _, rest = url.partition("://")
    head, _, tail = rest.partition("?")
    if "@" in head and not head.startswith("/"):
        head = head.rpartition("@")[2]
    elif "@" in tail:
        # Perhaps a password with a bare '?' in it.
        head = "..."
    return f"{scheme}://{head}"


def parse_redis_url(url: str) -> RedisUrl:
    """Take a URL apart.

    Raises:
        InvalidConfig: it is malformed; says how, and never the password.
    """
    try:
        return _parse(url)
    except ValueError as error:
        # Without the URL: where it is malformed, nobody knows which part of it is the password.
        raise InvalidConfig(f"memory.url is not a Redis URL: {error}", remedy=REMEDY) from None


def _parse(url: str) -> RedisUrl:
    if not is_redis_url(url):
        raise ValueError("unknown scheme")
    scheme, _, rest = url.partition("://")
    kind, tls = _SCHEMES[scheme]
    rest, _, fragment = rest.partition("#")
    if fragment:
        raise ValueError("a '#' must be written %23")
    rest, _, query = rest.partition("?")
    # A bare '@' or '/' in a password is forgiven; in the path of a socket an '@' is just that.
    identity, _, rest = ("", "", rest) if rest.startswith("/") else rest.rpartition("@")
    username, _, password = identity.partition(":")
    places, slash, path = rest.partition("/")
    options = _options(query, kind, tls)
    segments = [] if kind is Kind.UNIX else [unquote(part) for part in path.split("/") if part]
    name = ""
    if kind is Kind.SENTINEL:
        if not segments:
            raise ValueError("the name of the master is missing after the hosts")
        name = segments.pop(0)
    db = _db(segments, options.pop("db", ""))
    if kind is Kind.CLUSTER and db:
        raise ValueError("a Cluster has database 0 only")
    if kind is Kind.UNIX and (places or not path):
        raise ValueError("the path of a socket expected, after three slashes")
    hosts: tuple[tuple[str, int], ...] = ()
    if kind is not Kind.UNIX:
        default = SENTINEL_PORT if kind is Kind.SENTINEL else PORT
        hosts = tuple(_host(place, default) for place in places.split(","))
        if kind is Kind.SERVER and len(hosts) > 1:
            raise ValueError("one host expected; several are for redis+cluster and redis+sentinel")
    return RedisUrl(
        kind=kind,
        tls=tls,
        hosts=hosts,
        path=unquote(slash + path) if kind is Kind.UNIX else "",
        name=name,
        db=db,
        username=options.pop("username", "") or unquote(username),
        password=options.pop("password", "") or unquote(password),
        options=options,
        shown=without_password(url),
    )


def _options(query: str, kind: Kind, tls: bool) -> dict[str, str]:
    known = _OPTIONS | (_TLS_OPTIONS if tls else frozenset())
    if kind is Kind.SENTINEL:
        known |= _SENTINEL_OPTIONS
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError("what follows the '?' is not NAME=VALUE&NAME=VALUE") from None
    options = dict(pairs)
    if not known >= options.keys():
        raise ValueError(f"an option is not one of {', '.join(sorted(known))}")
    if options.get("ssl_cert_reqs", "required") not in ("required", "optional", "none"):
        raise ValueError("ssl_cert_reqs is required, optional or none")
    if options.get("ssl_check_hostname", "yes") not in ("yes", "no", "true", "false", "1", "0"):
        raise ValueError("ssl_check_hostname is yes or no")
    return options


def _db(segments: list[str], option: str) -> int:
    if len(segments) > 1 or (segments and option):
        raise ValueError("one number of a database expected at its end")
    number = segments[0] if segments else option
    if number and not (number.isascii() and number.isdigit() and len(number) <= 6):
        raise ValueError("what follows the host is not the number of a database")
    return int(number or 0)


def _host(place: str, default: int) -> tuple[str, int]:
    """Name and port of ``HOST``, ``HOST:PORT`` or ``[IPV6]:PORT``."""
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = place.partition(":")
    if not host:
        raise ValueError("a host is missing")
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError("a port is not a number from 1 to 65535")
    return unquote(host), int(port or default)
