"""Whether the cluster really serves: a ping that went all the way to the owner and back."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deploy.place import shown

PATIENCE = 1.0  # seconds for one answer; then dial again, perhaps reaching another gateway
PAUSE = 0.03  # seconds between two looks


def serving(address: tuple[str, int], wanted: Iterable[str], until: float) -> bool:
    """Whether one ping is answered and all `wanted` gateways are known to the owner by `until`."""
    return not trouble(address, wanted, until)


def trouble(
    address: tuple[str, int], wanted: Iterable[str], until: float, *, data: Path | None = None
) -> str:
    """Why the cluster does not serve in the sense of `serving`; empty when it does.

    Looks once and returns, so that the caller can see between two looks what has died meanwhile.

    Args:
        data: whose cluster it must be: gateways of all clusters have the same names.
    """
    try:
        with socket.create_connection(reachable(address), timeout=PATIENCE) as connection:
            # After the dialling, never before: `until` may be nearer than one patience.
            link = _Link(connection)
            welcome = link.ask(
                {"t": "hello", "ref": 1, "id": os.urandom(16), "visible": False, "agent": "deploy"}
            )
            if data is not None and not _is_of(data, welcome):
                _part(link, 2)
                return f"another cluster answers at {shown(*address)}"
            link.ask({"t": "ping", "ref": 2})
            missing = set(wanted)
            for ref in range(3, 1000):
                status = link.ask({"t": "status", "ref": ref})
                missing -= _gateways(status)
                if not missing or time.monotonic() > until:
                    _part(link, ref + 1)
                    return f"the owner does not know {' '.join(sorted(missing))}" if missing else ""
                time.sleep(PAUSE)
    except (OSError, EOFError, ValueError) as error:
        return str(error) or "the connection was closed"
    return "no answer"


def _is_of(data: Path, welcome: dict[str, Any]) -> bool:
    """Whether the numbering is that of this data directory: a number that chance has chosen, noted
    there before the owner answers anybody."""
    from worker import note

    noted = note.read(data / "epoch")
    return noted is not None and welcome.get("epoch") == noted.epoch


def _part(link: _Link, ref: int) -> None:
    """Else the session would be kept for a minute."""
    with contextlib.suppress(OSError, EOFError, ValueError):  # a courtesy, no more
        link.ask({"t": "bye", "ref": ref, "id": os.urandom(16)})


def _gateways(status: dict[str, Any]) -> set[str]:
    """The gateways that the owner knows, without what tells their lives apart."""
    rows = status.get("gateways")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return set()
    return {str(row.get("gateway")).partition(".")[0] for row in rows}


def reachable(address: tuple[str, int]) -> tuple[str, int]:
    """Where to dial a listener: itself, or loopback when it listens everywhere."""
    host, port = address
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port


class _Link:
    def __init__(self, connection: socket.socket) -> None:
        import msgpack

        self._connection = connection
        self._pack = msgpack.packb
        self._unpacker = msgpack.Unpacker(max_buffer_size=1024 * 1024)

    def ask(self, frame: dict[str, object]) -> dict[str, Any]:
        """The answer to this frame.

        Raises:
            ValueError: it is an error, or none is to be had: this is no gateway.
            EOFError: the connection was closed instead.
        """
        import msgpack

        self._connection.sendall(self._pack(frame))
        until = time.monotonic() + PATIENCE
        while True:
            for answer in self._unpacker:
                if not isinstance(answer, dict):
                    raise ValueError("what answers there is no gateway")
                if answer.get("ref") == frame["ref"]:
                    if answer.get("t") == "error":
                        raise ValueError(answer.get("text"))
                    return answer
            data = self._connection.recv(65536)
            if not data:
                raise EOFError
            if time.monotonic() > until:
                raise ValueError("what answers there says everything but the answer")
            try:
                self._unpacker.feed(data)
            except msgpack.BufferFull:
                raise ValueError("what answers there is no gateway") from None
