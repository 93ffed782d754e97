"""Settings: their order, and what is refused at start."""

import os
import stat
from pathlib import Path

import pytest

from hubbub import endpoints, run_dir, settings
from hubbub.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]


def load(*argv: str, **environ: str) -> settings.Settings:
    return settings.load(argv, process="gateway", environ=environ)[0]


def test_flags_win_over_variables_over_the_file_over_defaults(tmp_path: Path) -> None:
    file = tmp_path / "hubbub.toml"
    file.write_text('gather = 0.1\nleft_after = 3\ndata = "kept"\n')
    got = load(
        "--gather", "0.3", HUBBUB_CONFIG=str(file), HUBBUB_GATHER="0.2", HUBBUB_LEFT_AFTER="4"
    )
    assert (got.gather, got.left_after, got.data, got.brokers) == (0.3, 4.0, "kept", 2)


@pytest.mark.parametrize(
    "environ",
    [
        {"HUBBUB_GATHR": "1"},
        {"HUBBUB_GATHER": "soon"},
        {"HUBBUB_BEAT_AFTER": "100", "HUBBUB_CLOSE_AFTER": "90"},
        {"HUBBUB_LISTEN": "7000"},
        {"HUBBUB_LISTEN": "::1:7000"},
        {"HUBBUB_LISTEN": "localhost:70000"},
        {"HUBBUB_LOG_LEVEL": "loud"},
        {"HUBBUB_DATA": ""},
        {"HUBBUB_CONFIG": "/nowhere/hubbub.toml"},
    ],
)
def test_a_wrong_setting_is_refused_in_one_line(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(**environ)
    assert "\n" not in str(refusal.value)


def test_an_unknown_key_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("gathre = 1\n")
    with pytest.raises(ConfigError, match="gathre"):
        load("--config", str(tmp_path / "c.toml"))


def test_a_listen_address_may_be_ipv6_and_several() -> None:
    got = load(HUBBUB_LISTEN="127.0.0.1:7000, [::1]:7001")
    assert got.listen_addresses() == [("127.0.0.1", 7000), ("::1", 7001)]


@pytest.mark.parametrize("listen", ["", " ", ",", " , "])
def test_a_listener_without_an_address_is_refused(tmp_path: Path, listen: str) -> None:
    """A gateway started with it ran, and nobody could reach it."""
    (tmp_path / "c.toml").write_text(f'listen = "{listen}"\n')
    with pytest.raises(ConfigError, match="listen names no address: it needs a HOST:PORT"):
        load("--config", str(tmp_path / "c.toml"))
    with pytest.raises(ConfigError, match="listen names no address"):
        load(HUBBUB_LISTEN=listen)


def test_every_setting_is_explained_and_documented() -> None:
    table = (ROOT / "docs" / "operations.md").read_text()
    for option in settings.options():
        assert option.description, option.name
        row = (
            f"| `{option.name}` | `HUBBUB_{option.name.upper()}` | {option.kind} |"
            f" {option.default or 'empty'} | {option.description} |"
        )
        assert row in table, row


def test_a_bus_off_loopback_without_keys_is_refused() -> None:
    for address in ("tcp://10.1.2.3:7100", "tcp://0.0.0.0:7100", "tcp://chat.example:7100"):
        with pytest.raises(ConfigError, match="hubbub keys"):
            endpoints.broker_addresses(load(HUBBUB_BUS=address))
        with pytest.raises(ConfigError, match="hubbub keys"):
            endpoints.listen_address(load(HUBBUB_BUS_LISTEN=address), 1)
    inside = endpoints.broker_addresses(load(HUBBUB_BUS="tcp://127.0.0.1:7100,tcp://[::1]:7102"))
    assert [a.subscribe for a in inside] == ["tcp://127.0.0.1:7101", "tcp://[::1]:7103"]


@pytest.mark.parametrize("bus", [",", "127.0.0.1:7100", "tcp://127.0.0.1", "tcp://127.0.0.1:0"])
def test_a_bus_that_names_no_broker_is_refused(bus: str) -> None:
    with pytest.raises(ConfigError, match="bus"):
        endpoints.broker_addresses(load(HUBBUB_BUS=bus))


def test_unix_sockets_of_a_deep_data_directory_stay_below_the_limit(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 75) / ("e" * 75)
    deep.mkdir(parents=True)
    directory = settings.runtime_dir(deep)
    assert len(os.fsencode(directory)) + run_dir.LONGEST_SOCKET_NAME < run_dir.MAX_UNIX_PATH
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert (deep / "run_dir").read_text() == str(directory)
    assert settings.runtime_dir(deep) == directory
    directory.rmdir()


@pytest.mark.parametrize("left", [b"", b"\n"])
def test_a_record_of_the_socket_directory_that_is_empty_is_made_anew(
    tmp_path: Path, left: bytes
) -> None:
    """A full disk or a power cut left it; it was taken for the working directory, and closed."""
    (tmp_path / "run_dir").write_bytes(left)
    assert settings.runtime_dir(tmp_path) == tmp_path / "run"


@pytest.mark.parametrize("left", [b"run", b"\0", b"/tmp/\0", b"/" + b"x" * 90, b"/\xff" * 900])
def test_a_record_of_the_socket_directory_that_names_none_is_refused(
    tmp_path: Path, left: bytes
) -> None:
    (tmp_path / "run_dir").write_bytes(left)
    with pytest.raises(ConfigError, match="run_dir names no directory"):
        settings.runtime_dir(tmp_path)


def test_a_runtime_directory_that_is_relative_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As XDG says; each process would find another one."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", "relative")
    deep = tmp_path / ("d" * 75) / ("e" * 75)
    deep.mkdir(parents=True)
    directory = settings.runtime_dir(deep)
    assert directory.is_absolute()
    assert settings.runtime_dir(deep) == directory
    directory.rmdir()


def test_a_directory_whose_name_is_no_text_is_recorded_as_it_is(tmp_path: Path) -> None:
    named = Path(os.fsdecode(bytes(tmp_path / "b") + b"\xff"))
    run_dir.write(tmp_path, named)
    assert run_dir.read(tmp_path) == named
    assert [path.name for path in tmp_path.iterdir()] == ["run_dir"]


@pytest.mark.parametrize(
    "address", ["a..b:1", ".:1", "x" * 64 + ":1", "a\0b:1", "\udcff:1", "é..x:1"]
)
def test_a_host_that_no_resolver_takes_is_refused(address: str) -> None:
    """The resolver raises what is no OSError: it ended in a traceback."""
    with pytest.raises(ValueError, match="the host can be none"):
        settings.parse_address(address)
    assert settings.parse_address("example.org.:1") == ("example.org.", 1)


def test_a_socket_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="belongs to somebody else"):
        settings.runtime_dir(tmp_path)
