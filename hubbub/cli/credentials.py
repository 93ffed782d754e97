"""The accounts that one is logged in to on this machine: for each server a name and a token.

They stand in $XDG_DATA_HOME/hubbub/accounts.json (default ~/.local/share/hubbub), readable by
their owner alone. The token logs in without the password: who has it has the account.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from hubbub.cli.common import home_dir, told
from hubbub.names import name_key


class Account(msgspec.Struct, frozen=True):
    """An account of one server."""

    name: str
    device: str  # its token

    def __repr__(self) -> str:
        return f"Account({self.name!r}, ...)"


def find(servers: Sequence[str]) -> Account | None:
    """The account of the first of these servers (HOST:PORT) that has one.

    Raises:
        OSError: what is stored cannot be read.
    """
    stored = _read(_path())
    return next((stored[server] for server in servers if server in stored), None)


def keep(servers: Sequence[str], account: Account) -> None:
    """Remember an account of a cluster, by all its addresses, instead of any other.

    Raises:
        OSError: it cannot be written.
    """
    with _changing() as stored:
        stored.update(dict.fromkeys(servers, account))


def try_place() -> None:
    """See whether an account could be kept, before a server is asked for what must be.

    Raises:
        OSError: it could not.
    """
    try:
        with _changing():
            pass
    except OSError as error:
        text = f"nothing was done: a login could not be kept here ({told(error)})"
        raise OSError(text) from None


def keep_done(servers: Sequence[str], account: Account, done: str) -> None:
    """Like `keep`, for what the server has done already.

    Raises:
        OSError: it cannot be written; the text says `done`, and how to make up for it.
    """
    try:
        keep(servers, account)
    except OSError as error:
        again = f"`hubbub login {account.name}` logs in again"
        raise OSError(f"{done}, but not kept here ({told(error)}); {again}") from None


def forget(servers: Sequence[str], name: str | None = None) -> None:
    """Forget the account of these servers; with `name` only if it is that one.

    Raises:
        OSError: it cannot be written.
    """
    with _changing() as stored:
        for server in servers:
            found = stored.get(server)
            if found is not None and name_key(name or found.name) == name_key(found.name):
                del stored[server]


def _path() -> Path:
    return home_dir("XDG_DATA_HOME", ".local/share") / "hubbub" / "accounts.json"


def _read(path: Path) -> dict[str, Account]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Account])
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:  # MsgspecError, or what is no UTF-8
        raise OSError(errno.EINVAL, f"not a list of accounts ({error})", str(path)) from None


@contextlib.contextmanager
def _changing() -> Iterator[dict[str, Account]]:
    """What is stored, written back at the end as a whole; two who change it wait for each other."""
    path = _path()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stored = _read(path)
        yield stored
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)  # one that a killed process left; its mode may be anything
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(stored), indent=1))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        os.close(lock)
