from __future__ import annotations

import subprocess
import sys

import pytest

from secondlook.shared.errors import InvalidConfig
from secondlook.shared.memory.redis_url import (
    Kind,
    is_redis_url,
    parse_redis_url,
    without_password,
)


def test_one_server_with_all_its_parts() -> None:
    url = parse_redis_url("redis://me:p%40ss%2F%3A@example.org:7000/3")
    assert (url.kind, url.tls, url.hosts, url.db) == (
        Kind.SERVER,
        False,
        (("example.org", 7000),),
        3,
    )
    assert (url.username, url.password) == ("me", "p@ss/:")
    assert url.shown == "redis://example.org:7000/3"
    assert "p@ss" not in repr(url)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("redis://h", (("h", 6379),)),
        ("rediss://:x@[::1]:7/", (("::1", 7),)),
        ("redis://[fe80::1]", (("fe80::1", 6379),)),
        ("redis+cluster://a:1,b,c:3", (("a", 1), ("b", 6379), ("c", 3))),
        ("rediss+cluster://u:p@a:1,b:2/0", (("a", 1), ("b", 2))),
        ("redis+sentinel://a,b:2,c/mine", (("a", 26379), ("b", 2), ("c", 26379))),
    ],
)
def test_hosts_and_ports(url: str, hosts: tuple[tuple[str, int], ...]) -> None:
    assert parse_redis_url(url).hosts == hosts


def test_sentinels_have_a_name_a_database_and_users_of_their_own() -> None:
    url = parse_redis_url(
        "rediss+sentinel://u:p@s1:1,s2:2/mine/4?sentinel_username=su&sentinel_password=s%26p"
        "&ssl_ca_certs=/ca.pem"
    )
    assert (url.kind, url.tls, url.name, url.db) == (Kind.SENTINEL, True, "mine", 4)
    assert (url.username, url.password) == ("u", "p")
    assert url.options == {
        "sentinel_username": "su",
        "sentinel_password": "s&p",
        "ssl_ca_certs": "/ca.pem",
    }


@pytest.mark.parametrize(
    ("url", "path", "db", "password"),
    [
        ("unix:///run/r.sock", "/run/r.sock", 0, ""),
        ("unix://u:p@/run/r.sock?db=2", "/run/r.sock", 2, "p"),
        ("unix:///run/a@b%20c.sock?password=x%3Fy", "/run/a@b c.sock", 0, "x?y"),
    ],
)
def test_unix_sockets(url: str, path: str, db: int, password: str) -> None:
    parsed = parse_redis_url(url)
    assert (parsed.path, parsed.db, parsed.password) == (path, db, password)


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://:hunter2@",
        "redis://user:hunter2/0",
        "redis://:hunter2@h:0",
        "redis://:hunter2@h:65536",
        "redis://:hunter2@h:٣",
        "redis://:hunter2@h:1:2",
        "redis://:hunter2@h/zero",
        "redis://:hunter2@h/-1",
        "redis://:hunter2@h/1/2",
        "redis://:hunter2@h/1?db=1",
        "redis://:hunter2@a,b",
        "redis://:hunter2@h?socket_timeout=1",
        "redis://:hunter2@h?ssl_ca_certs=/ca.pem",
        "redis://:hunter2@h?nonsense",
        "redis://:?hunter2@h",
        "redis://:x#hunter2@h",
        "rediss://:hunter2@h?ssl_cert_reqs=hunter2",
        "rediss://:hunter2@h?ssl_check_hostname=perhaps",
        "redis+cluster://:hunter2@a:1,,b:2",
        "redis+cluster://:hunter2@a:1/3",
        "redis+sentinel://:hunter2@a:1",
        "redis+sentinel://:hunter2@a:1/name/x",
        "redis+sentinel://:hunter2@/name",
        "unix://:hunter2@",
        "unix://:hunter2@host/path",
        "redis+proxy://:hunter2@h",
        "hunter2",
        "",
    ],
)
def test_a_malformed_url_is_told_without_the_password(url: str) -> None:
    with pytest.raises(InvalidConfig, match=r"memory\.url") as error:
        parse_redis_url(url)
    assert "hunter2" not in str(error.value)
    assert "redis+cluster://" in error.value.remedy


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h?password=a@b", "redis://..."),
        ("redis://:a?b@h", "redis://..."),
        ("redis://:a@b@h/0?x=@", "redis://h/0"),
        ("redis+sentinel://u:p@a:1,b:2/m/0", "redis+sentinel://a:1,b:2/m/0"),
        ("unix:///tmp/a@b.sock", "unix:///tmp/a@b.sock"),
    ],
)
def test_what_may_be_a_password_is_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_which_urls_are_ours() -> None:
    for scheme in ("redis", "rediss", "unix", "redis+cluster", "rediss+sentinel"):
        assert is_redis_url(f"{scheme}://x")
    for url in ("sqlite:///x", "redis:/x", "redis", "grpc://h", "", "://"):
        assert not is_redis_url(url)


def test_the_redis_library_is_not_needed() -> None:
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "from secondlook.shared.memory.redis_url import parse_redis_url\n"
        "parse_redis_url('redis+sentinel://h/name')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
