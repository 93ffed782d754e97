"""`hubbub keys`: what it makes, and that it overwrites nothing."""

import stat
from pathlib import Path

import pytest

from hubbub import cli
from hubbub.cli import keys


def test_secret_keys_can_be_read_by_their_owner_only(tmp_path: Path) -> None:
    keys.make_cluster(tmp_path / "keys")
    keys.make_client(tmp_path / "keys", "web2", tmp_path / "out")
    secrets = [*(tmp_path / "keys").glob("*_secret"), *(tmp_path / "out").glob("*_secret")]
    assert len(secrets) == 3
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}
    assert not (tmp_path / "out" / "broker.key_secret").exists()


def test_made_again_it_keeps_the_keys_that_exist(tmp_path: Path) -> None:
    keys.make_cluster(tmp_path)
    before = (tmp_path / "broker.key_secret").read_bytes()
    keys.make_cluster(tmp_path)
    assert (tmp_path / "broker.key_secret").read_bytes() == before


def test_a_second_client_of_the_same_name_is_refused(tmp_path: Path) -> None:
    keys.make_cluster(tmp_path / "keys")
    keys.make_client(tmp_path / "keys", "web2", tmp_path / "one")
    with pytest.raises(FileExistsError):
        keys.make_client(tmp_path / "keys", "web2", tmp_path / "two")


def test_where_no_keys_can_be_made_that_is_told_with_a_status_that_help_lists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """“74 a file cannot be read or written”"""
    assert cli.main(["keys", str(tmp_path / "keys")]) == 0
    for out in (tmp_path / "keys", Path("/proc/nope")):
        assert cli.main(["keys", str(tmp_path / "keys"), "--client", "a", "--out", str(out)]) == 74
    assert "exists already" in capsys.readouterr().err
