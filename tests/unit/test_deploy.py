"""What the set-up commands say, and how they take what others say."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading

import pytest

from deploy import __main__ as command, cluster, processes, ready
from deploy.errors import DeployError


def test_what_is_quoted_has_no_power_over_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command line of whoever has the port is theirs, and the last line of a log, too."""

    def refuse(place: object) -> None:
        raise DeployError("in use by process 7 (\x1b[2J\udcff).")

    monkeypatch.setattr(sys, "argv", ["deploy", "down"])
    monkeypatch.setattr(cluster, "down", refuse)
    monkeypatch.setattr(command, "place_to_stop", lambda: None)
    assert command.main() == 1
    told = capsys.readouterr().err
    assert told.startswith("deploy/down: in use by process 7 (")
    assert told.isascii()
    assert "\x1b" not in told


@pytest.mark.parametrize("said", [b"\xdd\0\x0f\xff\xff" + b"\xa1x" * 2**20, b"\x91\x01", b"HTTP"])
def test_somebody_else_who_has_the_port_is_no_gateway(said: bytes) -> None:
    """More than is held, and what is no frame: a sentence, not a traceback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                with contextlib.suppress(OSError):
                    connection.sendall(said)
                    while connection.recv(4096):  # until the other side closes
                        pass

        other = threading.Thread(target=answer)
        other.start()
        try:
            told = ready.trouble(listener.getsockname(), ["gateway-1"], 0.0)
        finally:
            other.join()
    assert told == "what answers there is no gateway"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_where_a_process_listens_is_what_it_has_bound(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with listener:
        address = (host, listener.getsockname()[1])
        assert address in processes.listening(os.getpid())
    assert address not in processes.listening(os.getpid())
