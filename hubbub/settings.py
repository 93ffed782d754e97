"""Every setting of every process, read once at start and handed on, frozen.

In rising order: the defaults here, a TOML file (`HUBBUB_CONFIG` or --config), `HUBBUB_*`
variables, command-line flags. One flat namespace: `drain_within` in the file is
`HUBBUB_DRAIN_WITHIN` in the environment and `--drain-within` on the command line.
docs/operations.md is checked against this module.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import tomllib
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta

from hubbub import run_dir
from hubbub.addresses import may_be_host
from hubbub.arguments import ArgumentParser
from hubbub.errors import ConfigError
from hubbub.frames.base import LONGEST_TEXT, MAX_TEXT

# Read by deploy/, the client and the tests; not settings of a server process.
OTHER_VARIABLES = frozenset(
    f"HUBBUB_{name}"
    for name in (
        "CONFIG",
        "GATEWAYS",
        "VENV",
        "PYTHON",
        "SERVER",
        "PASSWORD",
        "NEW_PASSWORD",
        "TEST_SLACK",
    )
)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings. Who uses one stands first in its description."""

    data: Annotated[str, Meta(description="all: directory for everything that is kept")] = "var"
    listen: Annotated[
        str,
        Meta(description="gateway: HOST:PORT for clients, [HOST]:PORT for IPv6; several with ','"),
    ] = "127.0.0.1:7000"
    log_level: Annotated[str, Meta(description="all: DEBUG, INFO, WARNING or ERROR")] = "INFO"

    brokers: Annotated[
        int, Meta(ge=1, le=16, description="all: how many brokers run on this machine")
    ] = 2
    bus: Annotated[
        str,
        Meta(
            description="gateway, worker: brokers to reach over TCP, tcp://HOST:PORT with ',';"
            " empty: those of this data directory"
        ),
    ] = ""
    bus_listen: Annotated[
        str,
        Meta(
            description="broker: tcp://HOST:PORT to listen on besides the local sockets, one per"
            " broker with ','; each takes PORT (publish) and PORT+1 (subscribe)"
        ),
    ] = ""
    bus_keys: Annotated[
        str,
        Meta(
            description="all: directory with the keys that `hubbub keys` made; needed off loopback"
        ),
    ] = ""

    handshake_within: Annotated[
        float, Meta(gt=0, description="gateway: seconds from connecting to being welcomed")
    ] = 10.0
    beat_after: Annotated[
        float, Meta(gt=0, description="gateway: seconds of own silence before a beat is sent")
    ] = 15.0
    close_after: Annotated[
        float, Meta(gt=0, description="gateway: seconds without a byte from a client, then closed")
    ] = 90.0
    stalled_after: Annotated[
        float,
        Meta(gt=0, description="gateway: seconds in which a client takes nothing, then closed"),
    ] = 60.0
    outbox_bytes: Annotated[
        int, Meta(ge=4096, description="gateway: bytes waiting for one client, then it is behind")
    ] = 1024 * 1024
    outbox_age: Annotated[
        float,
        Meta(gt=0, description="gateway: seconds that bytes wait for one client, then behind"),
    ] = 10.0
    unread_answers: Annotated[
        int, Meta(ge=1024, description="gateway: bytes of answers waiting, then nothing is read")
    ] = 256 * 1024
    max_connections: Annotated[
        int, Meta(ge=1, description="gateway: connections in one process, in total")
    ] = 20_000
    max_per_address: Annotated[
        int, Meta(ge=1, description="gateway: connections in one process from one /32 or /64")
    ] = 64
    limit_loopback: Annotated[
        bool, Meta(description="all: whether limits for each address hold for loopback, too")
    ] = False
    drain_within: Annotated[
        float,
        Meta(
            gt=0, le=60, description="gateway: seconds to finish; below supervisord's stopwaitsecs"
        ),
    ] = 8.0
    request_within: Annotated[
        float, Meta(gt=0, description="gateway: seconds a request is repeated, then `unknown`")
    ] = 20.0

    gather: Annotated[
        float,
        Meta(ge=0, le=1, description="worker: least seconds between commits of a busy stream"),
    ] = 0.02
    gather_asks: Annotated[
        int, Meta(ge=1, description="worker: so many waiting requests are committed at once")
    ] = 64
    left_after: Annotated[
        float,
        Meta(gt=0, description="worker: seconds after a lost connection until `left` is shown"),
    ] = 5.0
    resume_within: Annotated[
        float, Meta(gt=0, description="worker: seconds a lost session, its rooms and name are kept")
    ] = 60.0
    gateway_lease: Annotated[
        float, Meta(gt=0, description="worker: seconds of silence, then a gateway counts as gone")
    ] = 10.0
    hung_after: Annotated[
        float,
        Meta(gt=0, description="worker: seconds a standby lets the active one's beat stand still"),
    ] = 4.0
    stream_bytes: Annotated[
        int, Meta(ge=1024, description="worker: bytes of the stream kept for repairs")
    ] = 32 * 1024 * 1024
    stream_seconds: Annotated[
        float, Meta(gt=0, description="worker: seconds of the stream kept for repairs")
    ] = 60.0
    max_rooms: Annotated[int, Meta(ge=1, description="worker: rooms one person may be in")] = 500
    max_members: Annotated[int, Meta(ge=1, description="worker: people in one room")] = 20_000
    max_conversations: Annotated[
        int, Meta(ge=1, description="worker: conversations of two of one person")
    ] = 1000
    max_text: Annotated[
        int, Meta(ge=1, le=LONGEST_TEXT, description="worker: characters of one message")
    ] = MAX_TEXT

    password_min: Annotated[
        int, Meta(ge=1, le=64, description="worker: least characters of a new password")
    ] = 8
    login_threads: Annotated[
        int, Meta(ge=1, le=16, description="worker: passwords checked at the same time")
    ] = 2
    login_waiting: Annotated[
        int, Meta(ge=1, description="worker: passwords waiting to be checked, then refused")
    ] = 200
    login_tries_per_account: Annotated[
        int, Meta(ge=1, description="worker: wrong passwords a minute for one account")
    ] = 5
    login_tries_per_address: Annotated[
        int, Meta(ge=1, description="worker: wrong passwords a minute from one /32 or /64")
    ] = 20
    accounts_per_address: Annotated[
        int, Meta(ge=1, description="worker: new accounts an hour from one /32 or /64")
    ] = 20

    say_rate: Annotated[
        float,
        Meta(ge=0, description="all: messages, edits, reactions a second; 0: without limit"),
    ] = 200.0
    say_burst: Annotated[int, Meta(ge=1, description="all: of these at once after a rest")] = 5000
    change_rate: Annotated[
        float,
        Meta(ge=0, description="all: joins, invitations and the like a second; 0: without limit"),
    ] = 50.0
    change_burst: Annotated[int, Meta(ge=1, description="all: of these at once")] = 2000
    read_rate: Annotated[
        float,
        Meta(ge=0, description="all: pages, rosters and lists a second; 0: without limit"),
    ] = 200.0
    read_burst: Annotated[int, Meta(ge=1, description="all: of these at once")] = 2000
    search_rate: Annotated[
        float, Meta(ge=0, description="all: searches a second; 0: without limit")
    ] = 20.0
    search_burst: Annotated[int, Meta(ge=1, description="all: of these at once")] = 100

    def __post_init__(self) -> None:
        if self.beat_after >= self.close_after:
            raise ValueError("beat_after must be less than close_after: peers need time to answer")
        if self.left_after >= self.resume_within:
            raise ValueError("left_after must be less than resume_within")
        if self.log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("log_level must be DEBUG, INFO, WARNING or ERROR")
        if not self.data or "\0" in self.data + self.bus_keys:
            raise ValueError("data and bus_keys must name directories")
        if not self.listen_addresses():
            raise ValueError("listen names no address: it needs a HOST:PORT")

    @property
    def data_dir(self) -> Path:
        """The data directory, absolute."""
        return Path(self.data).absolute()

    def listen_addresses(self) -> list[tuple[str, int]]:
        """The (host, port) pairs of `listen`.

        Raises:
            ValueError: one is no HOST:PORT.
        """
        return [parse_address(part) for part in self.listen.split(",") if part.strip()]


class Option(NamedTuple):
    """One setting, for `--help` and docs/operations.md."""

    name: str
    kind: str
    default: str
    description: str


def options() -> list[Option]:
    """Every setting in the order of the class."""
    hints = typing.get_type_hints(Settings, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(Settings):
        kind, meta = typing.get_args(hints[field.name])
        rows.append(Option(field.name, kind.__name__, str(field.default), meta.description or ""))
    return rows


def parse_address(text: str) -> tuple[str, int]:
    """("HOST", PORT) of "HOST:PORT" or "[HOST]:PORT".

    Raises:
        ValueError: it is neither, or the host or the port can be none.
    """
    host, colon, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, as in [::1]:7000")
    if (
        not colon
        or not host
        or not port.isascii()
        or not port.isdigit()
        or len(port) > 5
        or int(port) > 65535
    ):
        raise ValueError(f"{text!r} is not HOST:PORT")
    if not may_be_host(host):
        raise ValueError(f"{text!r}: the host can be none")
    return host, int(port)


def load(
    argv: Sequence[str], *, process: str, environ: Mapping[str, str] | None = None
) -> tuple[Settings, int]:
    """The settings of one server process, and its number (1 without --number).

    Raises:
        ConfigError: an unknown key, a wrong value, or a file that cannot be read.
        SystemExit: --help, or a flag that does not exist.
    """
    environ = os.environ if environ is None else environ
    flags = _parser(process).parse_args(argv)
    values: dict[str, Any] = {}
    config = flags.config or environ.get("HUBBUB_CONFIG")
    if config:
        values.update(_from_file(Path(config)))
    values.update(_from_environment(environ))
    names = Settings.__struct_fields__
    given = {name: getattr(flags, name) for name in names if getattr(flags, name) is not None}
    values.update(given)
    return _convert(values), flags.number


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings without flags, for commands that run beside the server processes.

    Raises:
        ConfigError: as `load`.
    """
    return load([], process="hubbub", environ=environ)[0]


def _convert(values: Mapping[str, Any]) -> Settings:
    try:
        return msgspec.convert(dict(values), Settings, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigError(f"settings: {error}") from None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # no UTF-8, no TOML, 5,000 digits
        raise ConfigError(f"settings file {path}: {error}") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    known = {f"HUBBUB_{name.upper()}": name for name in Settings.__struct_fields__}
    values = {}
    for variable, value in environ.items():
        if not variable.startswith("HUBBUB_") or variable in OTHER_VARIABLES:
            continue
        if variable not in known:
            raise ConfigError(f"settings: the variable {variable} is unknown")
        values[known[variable]] = value
    return values


def _parser(process: str) -> ArgumentParser:
    parser = ArgumentParser(
        prog=f"python -m {process}", description="Settings; see docs/operations.md."
    )
    parser.add_argument("--config", help="TOML file with settings")
    parser.add_argument("--number", type=int, default=1, help="which of its kind this process is")
    for option in options():
        parser.add_argument(
            f"--{option.name.replace('_', '-')}",
            metavar=option.kind.upper(),
            help=f"{option.description} (default: {option.default or 'empty'})".replace("%", "%%"),
        )
    return parser


# --- directories ------------------------------------------------------------------------------


def make_data_dir(settings: Settings) -> Path:
    """Make the data directory (mode 0700) if need be, and return it.

    Raises:
        ConfigError: it cannot be made or written.
    """
    path = settings.data_dir
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"data directory {path}: {error.strerror}") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(f"data directory {path} cannot be written")
    return path


def runtime_dir(data: Path) -> Path:
    """The 0700 directory for a cluster's unix sockets, made if need be.

    It is `<data>/run` unless socket paths in there would be too long for unix(7); then a directory
    under $XDG_RUNTIME_DIR or the temporary directory, recorded in `<data>/run_dir` so that every
    process finds the same one whatever its environment.

    Raises:
        ConfigError: it cannot be made, or belongs to somebody else, or what is recorded is no path.
    """
    data = data.resolve()
    recorded = run_dir.read(data)
    path = recorded or data / "run"
    if not run_dir.fits(path):
        named = os.environ.get("XDG_RUNTIME_DIR") or ""
        base = Path(named if named.startswith("/") else tempfile.gettempdir())
        digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
        path = base / f"hubbub-{os.getuid()}-{digest}"
        if not run_dir.fits(path):
            raise ConfigError(f"socket directory {path}: too long a path for unix sockets")
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise ConfigError(f"socket directory {path} belongs to somebody else")
        path.chmod(0o700)
        if path.parent != data and path != recorded:
            run_dir.write(data, path)
    except OSError as error:
        raise ConfigError(f"socket directory {path}: {error.strerror}") from None
    return path
