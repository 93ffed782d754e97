"""supervisord's XML-RPC over its unix socket."""

from __future__ import annotations

import http.client
import socket
import xmlrpc.client
from pathlib import Path
from typing import Any, NamedTuple, cast

from deploy.errors import DeployError

ANSWER_WITHIN = 4.0  # seconds; a healthy one takes milliseconds
ALREADY_STARTED = 60  # supervisor.xmlrpc.Faults
NOT_RUNNING = 70
# Of what it says of a process this is looked at, in the order of Program.
_INFO = {"name": str, "pid": int, "statename": str, "exitstatus": int, "stdout_logfile": str}


class Program(NamedTuple):
    """What supervisord says of one process."""

    name: str
    pid: int  # 0 when it is not there
    state: str  # RUNNING, EXITED, FATAL ...
    status: int  # of its last exit
    log: Path

    @property
    def kind(self) -> str:
        return self.name.partition("-")[0]

    @property
    def gave_up(self) -> bool:
        """Whether it stays down until somebody acts."""
        return self.state == "FATAL" or (self.state == "EXITED" and self.status == 78)

    @property
    def stands_still(self) -> bool:
        """Whether it has to be started: gave up, or was stopped by somebody."""
        return self.gave_up or self.state == "STOPPED"


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=ANSWER_WITHIN)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self.path))
        except OSError:
            self.sock.close()
            raise


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _Connection(self.path)
        self._connection = host, connection  # what close() closes
        return connection


class Supervisor:
    """One running supervisord. Every method raises DeployError when it stops answering."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def answers(self) -> bool:
        try:
            self.pid()
        except DeployError:
            return False
        return True

    def pid(self) -> int:
        pid = self._call("supervisor.getPID")
        if not isinstance(pid, int):
            raise self._odd(f"{pid!r} as its process")
        return pid

    def programs(self) -> list[Program]:
        infos = self._call("supervisor.getAllProcessInfo")
        if not isinstance(infos, list) or not all(map(_is_program, infos)):
            raise self._odd("programs that are none")
        rows = ([info[key] for key in _INFO] for info in infos)
        return [
            Program(name, pid, state, status, Path(log)) for name, pid, state, status, log in rows
        ]

    def reread(self) -> None:
        """Read the configuration again; changes no process."""
        self._call("supervisor.reloadConfig")

    def add(self, name: str) -> None:
        self._call("supervisor.addProcessGroup", name)

    def remove(self, name: str) -> None:
        self._call("supervisor.removeProcessGroup", name)

    def start(self, name: str) -> None:
        self._call("supervisor.startProcess", name, False, ignore=ALREADY_STARTED)

    def stop(self, name: str) -> None:
        """Ask it to end; does not wait."""
        self._call("supervisor.stopProcess", name, False, ignore=NOT_RUNNING)

    def shutdown(self) -> None:
        self._call("supervisor.shutdown")

    def _call(self, method: str, *arguments: object, ignore: int | None = None) -> object:
        transport = _Transport(self.path)
        try:
            with xmlrpc.client.ServerProxy("http://localhost", transport=transport) as proxy:
                return cast(object, getattr(proxy, method)(*arguments))
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == ignore:
                return None
            raise DeployError(f"supervisord refused {method}: {fault.faultString}.") from None
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise DeployError(f"supervisord at {self.path} does not answer: {error}.") from None
        except Exception as error:  # of what is no XML-RPC the parser raises anything
            raise self._odd(f"what is no XML-RPC: {error}") from None

    def _odd(self, what: str) -> DeployError:
        return DeployError(f"supervisord at {self.path} answers {what}.")


def _is_program(info: object) -> bool:
    return isinstance(info, dict) and all(
        isinstance(info.get(key), kind) for key, kind in _INFO.items()
    )
