from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from secondlook.shared.errors import InvalidConfig
from secondlook.shared.settings import Section, load, read_layers


class Server(Section):
    """A server."""

    port: int = Field(50051, ge=0, le=65535, description="Port.")
    wait_s: float = Field(1.0, gt=0, description="Patience, seconds.")


class Camera(Section):
    """A camera."""

    id: str = Field(description="Name.")


class Example(Section):
    """Settings of a tier."""

    server: Server = Server()
    cameras: tuple[Camera, ...] = ()


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    return path


def test_defaults_alone_are_enough() -> None:
    assert load(Example, "edge", None, {}) == Example()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, '[server]\nport = 1\nwait_s = 2.5\n[[cameras]]\nid = "a"')
    environ = {
        "SECONDLOOK_EDGE__SERVER__PORT": "7",
        "SECONDLOOK_CLOUD__SERVER__PORT": "8",
        "SECONDLOOK_OTHER": "x",
    }
    settings = load(Example, "edge", path, environ)
    assert settings.server == Server(port=7, wait_s=2.5)
    assert settings.cameras == (Camera(id="a"),)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Example().server = Server()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nprot = 1", r"server\.prot is not a setting; did you mean port\?"),
        ("[sevrer]\nport = 1", r"sevrer is not a setting; did you mean server\?"),
        ("[[cameras]]\nid = 'a'\nzzz = 1", r"cameras\.0\.zzz is not a setting; known here: id"),
        ("[server]\nport = 70000", r"server\.port: .*65535, got 70000"),
        ("[server]\nport = 'many'", r"server\.port: .*integer.*, got 'many'"),
        ("[server]\nwait_s = nan", r"server\.wait_s: .*finite"),
        ("[[cameras]]\n", r"cameras\.0\.id: Field required"),
        ("server = 3", r"server: "),
        ("[server", "is not TOML"),
    ],
)
def test_an_error_names_the_field_and_what_was_expected(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(InvalidConfig, match=said):
        load(Example, "edge", write(tmp_path, text), {})


def test_every_wrong_field_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"server\.port.*; server\.wait_s"):
        load(Example, "edge", write(tmp_path, "[server]\nport = -1\nwait_s = 0"), {})


def test_a_wrong_variable_is_an_error_too() -> None:
    with pytest.raises(InvalidConfig, match=r"server\.prot"):
        load(Example, "edge", None, {"SECONDLOOK_EDGE__SERVER__PROT": "1"})
    with pytest.raises(InvalidConfig, match="empty part"):
        load(Example, "edge", None, {"SECONDLOOK_EDGE__SERVER____PORT": "1"})


def test_files_that_cannot_be_settings(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="does not exist"):
        read_layers("edge", tmp_path / "absent.toml", {})
    with pytest.raises(InvalidConfig, match="cannot be read"):
        read_layers("edge", tmp_path, {})
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidConfig, match="not UTF-8"):
        read_layers("edge", binary, {})
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * 1_000_001)
    with pytest.raises(InvalidConfig, match="larger"):
        read_layers("edge", huge, {})


def test_an_empty_file_means_defaults(tmp_path: Path) -> None:
    assert load(Example, "edge", write(tmp_path, ""), {}) == Example()
