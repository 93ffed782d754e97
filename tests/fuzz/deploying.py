"""What deploy/up and deploy/down read: answers of supervisord and gateways, /proc, logs, paths."""

from __future__ import annotations

import configparser
import contextlib
import io
import os
from collections.abc import Callable, Hashable, Iterable, Mapping
from http import client as http_client
from pathlib import Path
from unittest import mock
from xmlrpc import client as xmlrpc_client

import msgpack

from deploy import config, place, processes, ready, rpc, watch
from deploy.errors import DeployError
from deploy.place import Place
from tests.fuzz.files import InFiles, variable
from tests.fuzz.mutate import Bytes, Text
from tests.fuzz.packed import Packed
from tests.fuzz.target import Target, which

_PIECE = 512  # bytes of an answer that come at once
_PROGRAM = {
    "name": "gateway-1",
    "group": "gateway-1",
    "pid": 4711,
    "statename": "RUNNING",
    "exitstatus": 0,
    "stdout_logfile": "/var/log/gateway-1.log",
}


class _Peer(io.BytesIO):
    """The end of a connection that has answered already, whatever it is asked."""

    def sendall(self, data: bytes) -> None:
        """Heard by nobody."""

    def settimeout(self, seconds: float) -> None:
        """Never waits."""

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.getvalue())

    def recv(self, size: int) -> bytes:
        return self.read(min(size, _PIECE))


class Answers(Target):
    """What supervisord and gateways answer: that, or DeployError, or a sentence of what is wrong.

    Of an input the first byte says which of them it is.
    """

    name = "deploy_answers"
    modules = (rpc, ready, xmlrpc_client, http_client)
    most = 32 * 1024

    def __init__(self) -> None:
        words = [
            b"<value>", b"</value>", b"<struct>", b"<member>", b"<array>", b"<data>", b"<int>",
            b"<fault>", b"<name>faultCode</name>", b"<base64>", b"<nil/>", b"<double>nan</double>",
            b"<!DOCTYPE a [<!ENTITY b 'cc'>]>", b"&b;", b"HTTP/1.1 200 OK\r\n", b"\r\n",
            b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n", b"gateways", b"gateway",
            b"Content-Encoding: gzip\r\n", b"\x1f\x8b\x08\x00", b"ref", b"error",
        ]  # fmt: skip
        self.mutators = (Bytes(words), Text(words), Packed([b"gateways", b"ref", b"t"]))
        self._said = b""

        def connect(made: http_client.HTTPConnection) -> None:
            made.sock = _Peer(self._said)

        self._patches = contextlib.ExitStack()
        self._patches.enter_context(mock.patch.object(rpc._Connection, "connect", connect))
        self._patches.enter_context(mock.patch("socket.create_connection", self._dial))

    def close(self) -> None:
        self._patches.close()

    def seeds(self) -> Iterable[bytes]:
        for value in ([_PROGRAM], [{**_PROGRAM, "name": 1}], [_PROGRAM | {"pid": None}], [], 4711):
            yield b"x" + _http(xmlrpc_client.dumps((value,), methodresponse=True, allow_none=True))
        for fault in (xmlrpc_client.Fault(60, "ALREADY_STARTED"), xmlrpc_client.Fault(10, "BAD")):
            yield b"x" + _http(xmlrpc_client.dumps(fault, methodresponse=True))
        yield from (b"x" + _http("<a"), b"xHTTP/1.1 500 No\r\n\r\n", b"x", b"x" + _http(""))
        report = {"t": "report", "ref": 3, "gateways": [{"gateway": "gateway-1.abc"}]}
        good = [{"t": "welcome", "ref": 1}, {"t": "pong", "ref": 2}, report, {"t": "ok", "ref": 4}]
        yield b"r" + b"".join(map(msgpack.packb, good))
        for odd in ({"t": "error", "ref": 1, "text": "no"}, [1], {"ref": 1}, 7):
            yield b"r" + msgpack.packb(odd)
        odd_rows: tuple[object, ...] = (7, [7], [{}], [{"gateway": None}])
        for gateways in odd_rows:
            answers = [*good[:2], report | {"gateways": gateways}]
            yield b"r" + b"".join(map(msgpack.packb, answers))

    def run(self, data: bytes) -> Hashable:
        self._said = data[1:]
        if data[:1] == b"r":
            trouble = ready.trouble(("0.0.0.0", 1), ["gateway-1", "gateway-2"], 0.0)
            assert isinstance(trouble, str)
            return which(trouble, "does not know", "was closed", "no answer", "is no")
        try:
            return self._of_supervisord()
        except DeployError as error:
            return which(error, "refused", "no answer of", "does not answer")

    def _of_supervisord(self) -> Hashable:
        supervisor = rpc.Supervisor(Path("supervisor.sock"))
        supervisor.start("gateway-1")
        if supervisor.answers():
            assert isinstance(supervisor.pid(), int)
            return "pid"
        programs = supervisor.programs()
        for one in programs:
            assert isinstance(one.kind, str)
            assert isinstance(one.pid, int)
            assert not (one.gave_up and not one.stands_still)
        return len(programs) > 0

    def _dial(self, address: tuple[str, int], timeout: float) -> _Peer:
        assert address[0] == "127.0.0.1"
        return _Peer(self._said)


def _http(body: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return (head + body).encode()


class Machine(InFiles):
    """What is found on a machine: understood, left alone, or DeployError.

    Of an input the first byte says what it is: the words, the environment and the name of a
    process, a log, a number of gateways, a settings file, what is in `run_dir`, a data directory.
    """

    name = "deploy_files"
    modules = (config, place, processes, watch)
    most = 16 * 1024

    def __init__(self) -> None:
        super().__init__()
        words = [
            b"python3", b"-m", b"gateway", b"supervisor.supervisord", b"--data", b"--data=", b"\0",
            b"HUBBUB_DATA=", b"SUPERVISOR_SERVER_URL=unix://", b"\xfe", b")", b"what=ready", b"\n",
            b"data = ", b"[" * 3000, b"\r", b" ", b"9" * 5000, b"%", b";", b"\xff", b"/", b"..",
            "\x85\u2028".encode(), b"\x1b[2J",
        ]  # fmt: skip
        self.mutators = (Bytes(words), Text(words))
        self._readers: Mapping[bytes, Callable[[bytes], Hashable]] = {
            b"p": self._process, b"l": self._log, b"g": self._gateways, b"c": self._settings,
            b"r": self._run_dir, b"d": self._data,
        }  # fmt: skip
        self._place = Place(self.directory, self.directory / "run")
        self._proc, processes.PROC = processes.PROC, self.directory / "proc"
        self._entry = self.directory / "proc" / "4711"
        (self._entry / "fd").mkdir(parents=True)
        (self._entry / "fd" / "3").symlink_to("socket:[99]")
        (self._entry / "cwd").symlink_to(self.directory)
        (self.directory / "loop").symlink_to("loop")
        (self.directory / "proc" / "net").mkdir()
        listening = "head\n 0: 0100007F:1B58 00000000:0000 0A 0:0 0:0 0 0 0 99 1\n"
        (self.directory / "proc" / "net" / "tcp").write_text(listening)
        self._shipped = config.SHIPPED_CONFIG.read_text(encoding="utf-8")

    def close(self) -> None:
        processes.PROC = self._proc
        super().close()

    def seeds(self) -> Iterable[bytes]:
        yield b"ppython3\0-m\0gateway\0--data\0var\xfeHUBBUB_DATA=x\0A=1\xfepython3"
        yield b"p/usr/bin/python3.11\0-m\0supervisor.supervisord\xfe\xfea) b"
        yield b"ppython3\0-m\0worker\xfeHUBBUB_DATA=loop\xfe\xff\xfe("
        yield b"p\xfe\xfe"
        yield from (b"lwhat=ready\n", b"l", b"l\xff\x1b[2J\nlast\r\n", b"l\n \n")
        yield from (b"g2", b"g", b"g65", b"gx", b"g" + b"9" * 5000)
        yield from (b"cdata = 'var'", b"cdata = [1]", b"cdata = 'a\\u0000'", b"c" + b"[" * 3000)
        yield from (b"r/tmp/hubbub-0-x", b"r", b"r\xff", b"r\0")
        yield from (b"dvar", b"da b", b"da\rb", b"d\xff", b"d100%", b"d\xe2\x80\xa8x", b"d#")

    def run(self, data: bytes) -> Hashable:
        reader = self._readers.get(data[:1])
        if reader is None:
            return None
        try:
            return data[:1], reader(data[1:])
        except DeployError as error:
            return data[:1], which(error, "does not start", "is no number", "has a sign")

    def _process(self, data: bytes) -> Hashable:
        words, environ, name = [*data.split(b"\xfe", 2), b"", b""][:3]
        (self._entry / "cmdline").write_bytes(words)
        (self._entry / "environ").write_bytes(environ)
        # Of the rest of it the kernel is the author.
        numbers = b" ".join(b"%d" % number for number in range(1, 50))
        (self._entry / "stat").write_bytes(b"4711 (%s) S %s\n" % (name[:15], numbers))
        ((pid, command),) = processes.holders(7000)
        assert pid == 4711
        assert isinstance(command, str)
        found = processes.look(4711)
        if found is None:
            return None
        assert (found.parent, found.started) == (1, "19")
        return found.kind, found.belongs_to(self._place), bool(found.supervised)

    def _log(self, data: bytes) -> Hashable:
        log = self.directory / "gateway-1.log"
        log.write_bytes(data)
        program = rpc.Program("gateway-1", 1, "EXITED", 78, log)
        is_ready = watch._all_ready([program], {"gateway-1": 3})
        told = watch._why(program, 3)
        assert len(told) <= len(str(log)) + watch.MOST_TOLD + 100
        return is_ready, "it said nothing" in told

    def _gateways(self, data: bytes) -> Hashable:
        with variable("HUBBUB_GATEWAYS", os.fsdecode(data.replace(b"\0", b""))):
            found = place._wanted_gateways()
        assert found is None or 1 <= found <= place.MOST_GATEWAYS
        return found is None

    def _settings(self, data: bytes) -> Hashable:
        file = self.directory / "hubbub.toml"
        file.write_bytes(data)
        with variable("HUBBUB_CONFIG", str(file)):
            found = place._data_in_file()
        Path(found).absolute().resolve()
        return bool(found)

    def _run_dir(self, data: bytes) -> Hashable:
        (self.directory / "run_dir").write_bytes(data)
        with variable("HUBBUB_DATA", str(self.directory)):
            found = place.place_to_stop()
        assert found.socket.is_absolute()
        return found.run_dir == self._place.run_dir

    def _data(self, data: bytes) -> Hashable:
        named = Path("/", os.fsdecode(data.replace(b"\0", b"")))
        wanted = Place(named, named / "run")
        file = self.directory / "supervisord.conf"
        config.write(file, config.render(self._shipped, wanted, 3))
        # As supervisord reads it.
        read = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
        with file.open(encoding="utf-8") as opened:
            read.read_file(opened)
        assert read.get("supervisord", "logfile") == f"{named}/log/supervisord.log"
        assert read.get("unix_http_server", "file") == str(wanted.socket)
        assert read.has_section("program:gateway-3")
        return "config"
