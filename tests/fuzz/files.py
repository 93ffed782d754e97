"""What is read from files, the environment and the flags of server processes."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import shutil
import socket
import tempfile
from collections.abc import Hashable, Iterable, Iterator, Mapping
from pathlib import Path

from prompt_toolkit import history

from hubbub import addresses, client_link, endpoints, frames, settings
from hubbub.cli import credentials, line_editor, operators, send_once
from hubbub.cli.credentials import Account
from hubbub.errors import ConfigError, OutcomeUnknown
from tests.fuzz.mutate import Bytes, Text
from tests.fuzz.target import Target, clipped, refused, which

_ADDRESSES = (
    "is not HOST:PORT", "in brackets", "tcp://HOST:PORT", "without encryption", "names",
    "host can",
)  # fmt: skip
_SETTINGS = (
    "is unknown", "unknown field", "must be", "must name", "got `", ">=", "<=", ">", "Invalid",
    "statement", "Expected", "Unescaped", "Illegal", "overwrite", "twice", "mutate", "codec",
)  # fmt: skip
_SERVERS = ("127.0.0.1:7000", "[::1]:7000")


class InFiles(Target):
    """A target that writes its input to a file first, in a directory of its own."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="hubbub-fuzz-files-"))

    def close(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)


class Configuration(InFiles):
    """Settings of a process: all of them, ConfigError, or (wrong flags) exit status 2 or 0.

    An input has a TOML file, variables and flags, one a line, with a NUL between the three.
    """

    name = "settings"
    modules = (settings, endpoints)
    most = 16 * 1024

    def __init__(self) -> None:
        super().__init__()
        options = settings.options()
        lines = [f"{one.name} = {_toml(one)}\n".encode() for one in options]
        flags = [f"--{one.name.replace('_', '-')}={one.default}\n".encode() for one in options]
        variables = [f"HUBBUB_{one.name.upper()}={one.default}\n".encode() for one in options]
        values = [
            b"true", b"nan", b"inf", b"-1", b"1e999", b"0x10", b"9" * 400, b"[", b"]", b"{", b"}",
            b"'''", b'"""', b"\\u0000", b"2026-01-31T00:00:00Z", b"a.b.c = 1\n", b"[[a]]\n", b"#",
            b"tcp://127.0.0.1:7100", b"tcp://[::1]:7100,", b"tcp://8.8.8.8:1", b":", b"\0",
        ]  # fmt: skip
        tokens = [*lines, *flags, *variables, *values]
        self.mutators = (Text(tokens), Bytes(tokens), Text(values))
        self._file = self.directory / "settings.toml"
        # Made for every process once, here once for all inputs: it is most of the time otherwise.
        self._made = settings._parser
        settings._parser = functools.cache(settings._parser)

    def close(self) -> None:
        settings._parser = self._made
        super().close()

    def seeds(self) -> Iterable[bytes]:
        options = settings.options()
        yield "\n".join(f"{one.name} = {_toml(one)}" for one in options).encode()
        yield b"\0" + "\n".join(f"HUBBUB_{o.name.upper()}={o.default}" for o in options).encode()
        yield b"\0\0--brokers=3\n--listen\n[::1]:7000,0.0.0.0:7001\n--number=2"
        yield b"bus = 'tcp://127.0.0.1:7100,tcp://[::1]:7200'\nbus_listen = 'tcp://127.0.0.1:1'"
        yield b"gather = [[0.5], [{a = 1}]]\n[more]\nx = 1979-05-27T07:32:00Z"
        yield b"bus = 'tcp://8.8.8.8:7100'\nbus_keys = 'keys'\0HUBBUB_GATHER=0.5\0--help"

    def run(self, data: bytes) -> Hashable:
        toml, variables, flags = [*data.split(b"\0", 2), b"", b""][:3]
        self._file.write_bytes(toml)
        told = io.StringIO()
        try:
            with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
                found, number = settings.load(
                    list(_flags(flags)), process="gateway", environ=self._environ(variables)
                )
            self._look_at(found, number)
        except ConfigError as error:
            return which(error, *_SETTINGS, *_ADDRESSES)
        except SystemExit as error:
            return refused(error, told.getvalue())
        return "settings", bool(found.bus), bool(found.bus_listen), number == 1

    def _environ(self, lines: bytes) -> Mapping[str, str]:
        pairs = (os.fsdecode(line).partition("=") for line in lines.split(b"\n") if line)
        return {key: value for key, _, value in pairs} | {"HUBBUB_CONFIG": str(self._file)}

    def _look_at(self, found: settings.Settings, number: int) -> None:
        """What every process does with them next. Nothing here makes a directory."""
        assert found.beat_after < found.close_after
        assert all(0 <= port < 65536 for _, port in found.listen_addresses())
        for path in (found.data_dir, endpoints.keys_dir(found)):
            if path is not None:
                with contextlib.suppress(OSError):
                    path.lstat()
        endpoints.listen_address(found, max(1, number))
        if found.bus:
            endpoints.broker_addresses(found)


def _toml(option: settings.Option) -> str:
    if option.kind == "bool":
        return option.default.lower()
    return option.default if option.kind in ("int", "float") else f"'{option.default}'"


def _flags(lines: bytes) -> Iterator[str]:
    """The flags, but for another --config: what is read is what this target has written.

    Not more than there are settings, or so: argparse needs quadratic time in their number.
    """
    for line in lines.split(b"\n")[:100]:
        if line and not line.startswith(b"--c"):
            yield os.fsdecode(line)


class Credentials(InFiles):
    """Files that the command reads: what was kept, or what its callers tell as an error.

    Of an input the first byte says which file it is: notes, a chat's history, an operator's key,
    or logins.
    """

    name = "credentials"
    modules = (credentials, send_once, operators, history)

    def __init__(self) -> None:
        super().__init__()
        words = [
            b'"name"', b'"device"', b'"127.0.0.1:7000"', b"{", b"}", b"[", b"]", b":", b",", b'"',
            b'"stored"', b'"senders"', b'"token"', b'"cursor"', b"\\ud800", b"\\u0000", b"\xff",
            b"1e999", b"-0", b"null", b"true", b"9" * 30, b'{"name":"a","device":"b","x":',
        ]  # fmt: skip
        self.mutators = (Bytes(words), Text(words))
        self._accounts = self.directory / "hubbub" / "accounts.json"
        self._accounts.parent.mkdir()
        self._note = self.directory / "note"
        self._history = self.directory / "chat-history"
        self._key = self.directory / operators.KEY

    def seeds(self) -> Iterable[bytes]:
        yield b'a{"127.0.0.1:7000": {"name": "Radha", "device": "t0ken"}}'
        yield b'a{"[::1]:7000": {"name": "R\xc3\xa4dha", "device": "", "more": [1, {"a": null}]}}'
        yield b"a{}"
        yield b'n{"body":"ab","token":"","senders":[1],"epoch":7,"cursor":3,"stored":{"0":4}}'
        yield b'n{"body":"ab"}'
        yield b"h\n# 2026-01-31 12:00:00\n+hello\n\n# 2026-01-31 12:00:01\n+two\n+lines\n"
        yield b"h+\xff\n+\0\x1b[2J"
        yield from (b"kf9aa-_key\n", b"k", b"k\xff", b"ka b", b"k" + b"x" * 129)

    def run(self, data: bytes) -> Hashable:
        if data[:1] == b"n":
            return self._read_note(data[1:])
        if data[:1] == b"h":
            return self._read_history(data[1:])
        if data[:1] == b"k":
            return self._read_key(data[1:])
        self._accounts.write_bytes(data[1:])
        with variable("XDG_DATA_HOME", str(self.directory)):
            try:
                found = credentials.find(_SERVERS)
                # Once a long time: each waits for the disk.
                if len(data) % 16 == 0:
                    credentials.keep(_SERVERS[:1], Account("Radha", "t0ken"))
                    assert credentials.find(_SERVERS) == Account("Radha", "t0ken")
                    credentials.forget(_SERVERS, "Radha")
            except OSError as error:
                return clipped(error.strerror)
        return found is None

    def parse(self, data: bytes) -> object:
        if data[:1] in (b"h", b"k"):
            return self.run(data)
        path = self._note if data[:1] == b"n" else self._accounts
        path.write_bytes(data[1:])
        with contextlib.suppress(OSError, OutcomeUnknown):
            return send_once._read(path) if path is self._note else credentials._read(path)
        return None

    def _read_note(self, data: bytes) -> Hashable:
        self._note.write_bytes(data)
        try:
            note = send_once._read(self._note)
        except OutcomeUnknown as error:
            return clipped(error.text.rpartition(str(self._note))[2])
        assert note is not None
        numbers = (note.epoch, note.cursor, *note.senders, *note.stored.values())
        assert all(0 <= number < 2**53 for number in numbers), "no server is asked with it"
        return "note", bool(note.stored), bool(note.senders)

    def _read_history(self, data: bytes) -> Hashable:
        self._history.write_bytes(data)
        lines = list(line_editor._History(self._history).load_history_strings())
        for line in lines:
            line.encode()  # what cannot be sent could not be typed, either
        return "history", min(len(lines), 3)

    def _read_key(self, data: bytes) -> Hashable:
        self._key.write_bytes(data)
        try:
            key = operators.read_key(self.directory)
        except OSError as error:
            return clipped(error.strerror)
        # What no frame holds would be refused for another reason than that it is no key.
        frame = frames.Promote(1, bytes(16), "Radha", True, key)
        assert frames.client_decoder.decode(frames.encoder.encode(frame)) == frame
        return "key"


@contextlib.contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _resolve(host: str) -> None:
    """Ask the resolver as every process does, but for names: those would be looked up."""
    with contextlib.suppress(OSError):
        socket.getaddrinfo(host, 7000, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)


class Addresses(Target):
    """HOST:PORT of clients and brokers, and what counts as one address."""

    name = "addresses"
    modules = (endpoints, addresses, client_link, settings)
    most = 4 * 1024  # of the command line; each address takes its time

    def __init__(self) -> None:
        words = [
            b"tcp://", b"ipc://", b"127.0.0.1", b"::1", b"[::1]", b"::ffff:127.0.0.1", b":7000",
            b":0", b":65535", b":65536", b",", b"%eth0", b"localhost", b"1" * 20, "٣".encode(),
        ]  # fmt: skip
        self.mutators = (Text(words), Bytes(words))
        self._without = settings.Settings()
        self._with_keys = settings.Settings(bus_keys="keys")

    def seeds(self) -> Iterable[bytes]:
        return [
            b"127.0.0.1:7000", b"[::1]:7000,localhost:1", b"a..b:1", "é.x.:1".encode(),
            b"tcp://127.0.0.1:7100", b"fe80::1%eth0",
            b"tcp://[::1]:7100", b"tcp://example.org:1", b"::ffff:10.0.0.1", b"2001:db8::1", b"",
        ]  # fmt: skip

    def run(self, data: bytes) -> Hashable:
        text = data.decode("utf-8", "surrogateescape")
        key = addresses.address_key(text)
        outcomes: list[Hashable] = [key == text, addresses.is_loopback(text)]
        try:
            pairs = client_link.parse_addresses((text or ",",))
        except ValueError as error:
            outcomes.append(which(error, *_ADDRESSES))
        else:
            _resolve(pairs[0][0])
            for host, port in pairs:
                assert 0 <= port < 65536
                shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
                if host == host.strip() != "":
                    assert settings.parse_address(shown) == (host, port), "read back as another"
            outcomes.append(min(len(pairs), 3))
        for each in (self._without, self._with_keys):
            try:
                found = endpoints.tcp_address(text, each)
            except ConfigError as error:
                outcomes.append(which(error, *_ADDRESSES))
            else:
                assert found.encrypted
                outcomes.append("address")
        return tuple(outcomes)
