"""Which cluster is meant: its directories, addresses and size."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from deploy.errors import DeployError

Address: TypeAlias = tuple[str, int]  # (host, port)
_Found: TypeAlias = tuple[Any, Any, int, str, tuple[Any, ...]]

SHIPPED = 2  # brokers, workers and gateways in supervisord.conf, each
MOST_GATEWAYS = 64  # on one machine; a slip of the finger should not start 4,000

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Place:
    """One cluster on this machine. All paths are absolute, and links are followed."""

    data: Path
    run_dir: Path  # its unix sockets; elsewhere when the data directory lies too deep
    addresses: tuple[Address, ...] = ()  # of the listener
    gateways: int | None = None  # None: the shipped number, or as many as there are
    brokers: int = SHIPPED
    says_ready: bool = False  # whether its processes log when they are (INFO)

    @property
    def socket(self) -> Path:
        """Where supervisord takes its orders."""
        return self.run_dir / "supervisor.sock"

    @property
    def programs(self) -> Path:
        """Directory of the sections that supervisord.conf includes: the added gateways."""
        return self.data / "programs"

    @property
    def log(self) -> Path:
        return self.data / "log"

    @property
    def down(self) -> str:
        """What stops it, typed in the checkout by whoever has set nothing."""
        if self.data == ROOT / "var":
            return "deploy/down"
        return f"HUBBUB_DATA={shlex.quote(str(self.data))} deploy/down"


def shown(host: str, port: int) -> str:
    """An address as it is set."""
    from hubbub import addresses

    return addresses.shown(host, port)


def resolve(host: str, port: int) -> list[_Found]:
    """What socket.getaddrinfo tells of a listen address.

    Raises:
        DeployError: it tells of none.
    """
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        where = shown(host, port)
        raise DeployError(
            f"the listen address {where} cannot be found: {error.strerror}."
        ) from None


def place_from_environment() -> Place:
    """The cluster that the settings describe; its data directory is made.

    Raises:
        DeployError: a setting is wrong, or the directory can't be made or written.
    """
    from hubbub.errors import ConfigError
    from hubbub.settings import from_environment, make_data_dir, runtime_dir

    try:
        settings = from_environment()
        data = make_data_dir(settings).resolve()
        _can_be_written(data)
        run_dir = runtime_dir(data)
        addresses = tuple(settings.listen_addresses())
    except ConfigError as error:
        raise DeployError(f"{error}.") from None
    says_ready = settings.log_level in ("DEBUG", "INFO")
    if any(port == 0 for _, port in addresses):
        raise DeployError("the listen address needs a HOST:PORT with a fixed port.")
    return Place(data, run_dir, addresses, _wanted_gateways(), settings.brokers, says_ready)


def place_to_stop() -> Place:
    """The cluster to stop; works without the environment, and makes nothing."""
    try:
        from hubbub.errors import ConfigError
        from hubbub.settings import from_environment

        try:
            data = from_environment().data_dir
        except ConfigError as error:
            raise DeployError(f"{error}.") from None
    except ImportError:
        data = Path(os.environ.get("HUBBUB_DATA") or _data_in_file() or "var").absolute()
    data = data.resolve()
    return Place(data, _recorded(data) or data / "run")


def _recorded(data: Path) -> Path | None:
    """Where the sockets are, if they are elsewhere.

    When that cannot be told, the processes are found and stopped without them.
    """
    from hubbub import run_dir
    from hubbub.errors import ConfigError

    with contextlib.suppress(ConfigError):
        return run_dir.read(data)
    return None


def _data_in_file() -> str:
    """`data` of the settings file, without the means to check the rest of it."""
    try:
        with Path(os.environ["HUBBUB_CONFIG"]).open("rb") as file:
            found = str(tomllib.load(file).get("data", ""))
    except (KeyError, OSError, ValueError, RecursionError):
        return ""
    return "" if "\0" in found else found


def _wanted_gateways() -> int | None:
    text = os.environ.get("HUBBUB_GATEWAYS", "")
    if not text:
        return None
    if (
        not text.isascii()
        or not text.isdigit()
        or len(text) > 9
        or not 1 <= int(text) <= MOST_GATEWAYS
    ):
        raise DeployError(f"HUBBUB_GATEWAYS={text} is no number from 1 to {MOST_GATEWAYS}.")
    return int(text)


def _can_be_written(data: Path) -> None:
    """Raises DeployError unless files can be made in there: permission bits do not stop root,
    a read-only file system does."""
    probe = data / f".probe.{os.getpid()}"
    try:
        if data.stat().st_uid == os.getuid():
            data.chmod(0o700)
        probe.touch()
        probe.unlink()
        for name in ("log", "programs"):
            (data / name).mkdir(mode=0o700, exist_ok=True)
            if not os.access(data / name, os.W_OK | os.X_OK):
                raise DeployError(f"the directory {data / name} cannot be written.")
    except OSError as error:
        raise DeployError(f"the data directory {data} cannot be used: {error.strerror}.") from None
