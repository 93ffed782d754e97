"""Settings: their order, and what is refused at start."""

import os
import stat
from pathlib import Path

import pytest

from hubbub import endpoints, settings
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
    assert len(os.fsencode(directory)) + settings.LONGEST_SOCKET_NAME < settings.MAX_UNIX_PATH
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert (deep / "run_dir").read_text() == str(directory)
    assert settings.runtime_dir(deep) == directory
    directory.rmdir()


def test_a_socket_directory_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="belongs to somebody else"):
        settings.runtime_dir(tmp_path)
