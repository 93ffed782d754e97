"""Where the command keeps the accounts that one is logged in to."""

from __future__ import annotations

import argparse
import os
import stat
import threading
from pathlib import Path

import pytest

from hubbub.cli import common, credentials, identity
from hubbub.cli.credentials import Account

RITA = Account("Rita", "token of Rita")
BOB = Account("Bob", "token of Bob")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return tmp_path


def test_an_account_is_kept_for_each_address_of_its_cluster() -> None:
    assert credentials.find(["a:1"]) is None
    credentials.keep(["a:1", "b:1"], RITA)
    credentials.keep(["c:1"], BOB)
    assert credentials.find(["b:1"]) == RITA
    assert credentials.find(["x:1", "c:1"]) == BOB
    credentials.forget(["a:1", "b:1"])
    assert credentials.find(["a:1", "b:1"]) is None
    assert credentials.find(["c:1"]) == BOB


def test_only_the_account_that_is_named_is_forgotten() -> None:
    credentials.keep(["a:1"], RITA)
    credentials.forget(["a:1"], "Bob")
    assert credentials.find(["a:1"]) == RITA
    credentials.forget(["a:1"], "RITA")
    assert credentials.find(["a:1"]) is None


def test_nobody_else_can_read_it(home: Path) -> None:
    """“token under the XDG data directory, mode 0600”"""
    old = os.umask(0)
    try:
        credentials.keep(["a:1"], RITA)
        (home / "hubbub").chmod(0o755)
        credentials.keep(["b:1"], BOB)
    finally:
        os.umask(old)
    assert stat.S_IMODE((home / "hubbub").stat().st_mode) == 0o700
    files = list((home / "hubbub").iterdir())
    assert {path.name for path in files} == {"accounts.json", "accounts.lock"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files)


def test_a_token_is_not_printed_with_its_account() -> None:
    assert RITA.device not in repr(RITA)


def test_two_who_change_it_at_once_lose_nothing() -> None:
    threads = [
        threading.Thread(target=credentials.keep, args=([f"{n}:1"], RITA)) for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(credentials.find([f"{n}:1"]) == RITA for n in range(20))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a:1": {"name": 1}}', b'a{"\xff"'])
def test_what_cannot_be_understood_is_told_and_left_alone(home: Path, content: bytes) -> None:
    path = home / "hubbub" / "accounts.json"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"accounts\.json"):
        credentials.find(["a:1"])
    with pytest.raises(OSError, match=r"accounts\.json"):
        credentials.keep(["a:1"], RITA)
    assert path.read_bytes() == content


def test_without_a_home_one_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, as a user that has no name there: it ended in a traceback."""

    def fail(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", fail)
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", "not/absolute")
    with pytest.raises(OSError, match="set XDG_DATA_HOME"):
        credentials.find(["a:1"])
    with pytest.raises(OSError, match="set XDG_STATE_HOME"):
        common.state_dir()


def args(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**({"server": "a:1", "name": None, "guest": False} | given))


def test_the_account_is_used_unless_another_name_or_a_guest_is_asked_for() -> None:
    """“use the stored account of that server unless `--guest` or `--name` is given”"""
    credentials.keep(["a:1"], RITA)
    assert identity.stored_account(args()) == RITA
    assert identity.stored_account(args(name="rita")) == RITA
    assert identity.stored_account(args(name="Bob")) is None
    assert identity.stored_account(args(guest=True)) is None
    assert identity.stored_account(args(server="b:1")) is None
    assert identity.stored_account(args(server="b:1,a:1")) == RITA


def test_the_same_server_is_written_in_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUBBUB_SERVER", raising=False)
    assert identity.servers(args(server=None)) == ["127.0.0.1:7000"]
    monkeypatch.setenv("HUBBUB_SERVER", "h:2")
    assert identity.servers(args(server=None)) == ["h:2"]
    assert identity.servers(args(server="[::1]:7000")) == ["[::1]:7000"]
