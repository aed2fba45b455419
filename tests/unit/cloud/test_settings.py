from __future__ import annotations

from pathlib import Path

import pytest

from secondlook.cloud.engine.batching import Overflow
from secondlook.cloud.server_settings import is_loopback
from secondlook.cloud.serving_settings import Control
from secondlook.cloud.settings import CloudSettings
from secondlook.shared.errors import InvalidConfig
from secondlook.shared.settings import load

EXAMPLE = Path(__file__).parents[3] / "deploy" / "examples" / "cloud.toml"


def parse(tmp_path: Path, text: str, **environ: str) -> CloudSettings:
    file = tmp_path / "cloud.toml"
    file.write_text(text)
    return load(CloudSettings, "cloud", file, environ)


def test_without_a_file_the_demo_model_is_served_on_loopback() -> None:
    settings = load(CloudSettings, "cloud", None, {})
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 50051)
    assert [model.path for model in settings.models] == ["zoo:street_heavy"]
    assert settings.memory.url.startswith("sqlite:///")
    assert settings.batcher.overflow is Overflow.REJECT


def test_the_example_is_valid_and_shows_every_table() -> None:
    settings = load(CloudSettings, "cloud", EXAMPLE, {})
    assert settings.model_fields_set == set(CloudSettings.model_fields)


def test_the_environment_wins(tmp_path: Path) -> None:
    settings = parse(
        tmp_path,
        "[server]\nport = 1\n[batcher]\nmax_queue = 5\n",
        SECONDLOOK_CLOUD__SERVER__PORT="0",
        SECONDLOOK_CLOUD__MODELS='[{name = "a", path = "a.onnx"}]',
    )
    assert (settings.server.port, settings.batcher.max_queue) == (0, 5)
    assert settings.models[0].path == "a.onnx"


def test_with_a_repository_no_other_model_is_served_unless_it_is_named(tmp_path: Path) -> None:
    text = '[repository]\npaths = ["models"]\n'
    assert parse(tmp_path, text).models == ()
    named = parse(tmp_path, text + '[[models]]\nname = "a"\npath = "a.onnx"\n')
    assert [model.name for model in named.models] == ["a"]
    by_environment = parse(tmp_path, "", SECONDLOOK_CLOUD__REPOSITORY__PATHS='["models"]')
    assert by_environment.models == ()
    assert by_environment.repository.control is Control.POLL


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "::", "example.org"])
def test_plaintext_beyond_loopback_needs_the_flag(tmp_path: Path, host: str) -> None:
    with pytest.raises(InvalidConfig, match="allow_plaintext"):
        parse(tmp_path, f'[server]\nhost = "{host}"\n')
    parse(tmp_path, f'[server]\nhost = "{host}"\nallow_plaintext = true\n')
    parse(tmp_path, f'[server]\nhost = "{host}"\ntls.cert = "c.pem"\ntls.key = "k.pem"\n')


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"])
def test_loopback_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[server]\nprot = 1\n", "did you mean port"),
        ("[server]\nport = 70000\n", "server.port"),
        ("[server]\nmax_concurrent = 0\n", "server.max_concurrent"),
        ("[server]\ndrain_timeout_s = nan\n", "server.drain_timeout_s"),
        ('[server]\ntls.cert = "c.pem"\n', "cert and key belong together"),
        ('[server]\ntls.client_ca = "c.pem"\n', "client_ca needs"),
        ('[[models]]\nname = "a"\n', "models.0.path"),
        ('[[models]]\nname = "a b"\npath = "x"\n', "models.0.name"),
        ('[[models]]\nname = "a"\npath = "x"\nmin_score = 1.5\n', "models.0.min_score"),
        ('[[models]]\nname = "a"\npath = "x"\n[[models]]\nname = "a"\npath = "y"\n', "two models"),
        ("models = []\n", "at least one is needed"),
        ('[repository]\npaths = ["m"]\nload = ["a"]\n', "explicit"),
        ('[repository]\ncontrol = "explicit"\nload = ["a"]\n', "load needs paths"),
        ('[repository]\ncontrol = "pull"\n', "repository.control"),
        ("[repository]\nmemory_mb = 100\n", "memory_mb needs paths"),
        ('[engine]\nkind = "triton"\n', "engine.kind"),
        ('engine.kind = "remote"\nrepository.paths = ["m"]\n', "take repository.paths out"),
        ('[[models]]\nname = "a.detect"\npath = "x"\n', "sent to the detector 'a'"),
        ("[engine.remote]\nthreads = 0\n", "engine.remote.threads"),
        ("[prefetch]\nat_once = 0.3\n", "when_idle must not be above"),
        ("[repository]\npoll_s = 0\n", "repository.poll_s"),
        ('[repository]\nload = ["a/b"]\n', "repository.load"),
        ("[batcher]\nmax_per_tenant = -1\n", "batcher.max_per_tenant"),
        ("[breaker]\nbad_ratio = 2\n", "breaker.bad_ratio"),
        ("[cache]\nmax_bytes = -1\n", "cache.max_bytes"),
        ("[monitor]\nevery_s = 0\n", "monitor.every_s"),
        ('[batcher]\noverflow = "block"\n', "batcher.overflow"),
        ('[memory]\nurl = "postgres://x"\n', "memory.url"),
        ('[memory]\nurl = "grpc://x:1"\n', "memory.url"),
        ('[memory]\nnamespace = ""\n', "memory.namespace"),
        ('[memory]\nnamespace = "a{b}"\n', "memory.namespace"),
        ("[memory]\nwait_replicas = -1\n", "memory.wait_replicas"),
        ("[memory]\nwait_ms = 0\n", "memory.wait_ms"),
        ("[memory]\nkeep_tombstones_s = 1\n", "memory.keep_tombstones_s"),
        ("[memory]\ncompact_every_s = 0\n", "memory.compact_every_s"),
        ("[memory]\nmax_watches = 0\n", "memory.max_watches"),
        ('[[access.devices]]\nidentity = ""\n', "access.devices.0.identity"),
        ('[[access.devices]]\nidentity = "a\\nb"\n', "access.devices.0.identity"),
        ('[[access.devices]]\nidentity = "a"\ncameras = ["a/b/c"]\n', "site/camera"),
        ('[[access.devices]]\nidentity = "a"\nreads = ["../*"]\n', "access.devices.0.reads"),
        ('[[access.devices]]\nidentity = "a"\nwrites = ["x"]\n', "access.devices.0.writes"),
        ('[[access.devices]]\nidentity = "a"\ncameras = ["x"]\n', "set server.tls.client_ca"),
        (
            '[[access.devices]]\nidentity = "a"\n[[access.devices]]\nidentity = "a"\n',
            "two devices have the identity 'a'",
        ),
        ("[background]\nmax_age_s = 0\n", "background.max_age_s"),
    ],
)
def test_each_mistake_names_its_field(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        parse(tmp_path, text)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///memory.db",
        "redis://host:6379/0",
        "rediss://host/0",
        "unix:///run/redis.sock",
        "redis+cluster://a:1,b:2",
        "redis+sentinel://a:1,b:2/name",
    ],
)
def test_the_memory_of_record_is_a_store_of_its_own(tmp_path: Path, url: str) -> None:
    assert parse(tmp_path, f'[memory]\nurl = "{url}"\n').memory.url == url


def test_devices_need_the_authority_that_signs_them(tmp_path: Path) -> None:
    tls = '[server.tls]\ncert = "c.pem"\nkey = "k.pem"\nclient_ca = "ca.pem"\n'
    devices = """
    [[access.devices]]
    identity = "gate-1"
    cameras = ["museum/gate", "cam"]
    reads = ["museum/*"]
    [[access.devices]]
    identity = "CN of an operator"
    cameras = ["*"]
    """
    settings = parse(tmp_path, tls + devices)
    assert [device.identity for device in settings.access.devices] == [
        "gate-1",
        "CN of an operator",
    ]
    with pytest.raises(InvalidConfig, match="client_ca"):
        parse(tmp_path, tls.replace('client_ca = "ca.pem"\n', "") + devices)


def test_directories_of_models_that_are_not_there(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    settings = parse(tmp_path, f'[repository]\npaths = ["{tmp_path}", "{gone}"]\n')
    assert settings.absent() == [f"repository.paths: {gone} is no directory"]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ('[memory]\nurl = "sqlite:///:memory:"\n', "set memory.url to a file or to Redis"),
        (
            '[repository]\npaths = ["models"]\ncontrol = "explicit"\n',
            'set repository.control = "poll"',
        ),
        ('[prefetch]\nrecord = "r.jsonl"\n', "record with processes = 1"),
        ('[server]\nhost = "unix:/tmp/s"\n', "share a TCP port"),
    ],
)
def test_what_processes_cannot_share_is_refused_with_the_remedy(
    tmp_path: Path, text: str, remedy: str
) -> None:
    assert parse(tmp_path, text).server.processes == 1
    with pytest.raises(InvalidConfig, match=remedy):
        parse(tmp_path, text, SECONDLOOK_CLOUD__SERVER__PROCESSES="2")


@pytest.mark.parametrize("processes", ["0", "65", "-1", "two"])
def test_a_number_of_processes_that_cannot_be_is_named(tmp_path: Path, processes: str) -> None:
    with pytest.raises(InvalidConfig, match=r"server\.processes"):
        parse(tmp_path, "", SECONDLOOK_CLOUD__SERVER__PROCESSES=processes)


def test_processes_share_their_port_and_one_does_not() -> None:
    server = CloudSettings().server
    assert not server.shared
    assert server.model_copy(update={"processes": 2}).shared
    assert server.model_copy(update={"reuse_port": True}).shared
