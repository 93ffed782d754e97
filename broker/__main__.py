"""`python -m broker --number N`: copy what publishers send to whoever subscribes.

It decodes nothing and keeps no state, so it may be killed and restarted at any moment.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import zmq

from hubbub import bus_keys, logs, settings
from hubbub.endpoints import keys_dir, listen_address, local_address
from hubbub.errors import ConfigError
from hubbub.wire import MAX_BUS_BYTES

if TYPE_CHECKING:
    from zmq.auth.thread import ThreadAuthenticator

HIGH_WATER = 256  # messages a peer: with batches of 64 KiB, 16 MiB
ZAP_DOMAIN = b"hubbub"
EX_CONFIG = 78
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def main(argv: list[str]) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status."""
    # Blocked and waited for: a handler would race with the proxy, whose poll never comes back to
    # Python when a signal arrives just before it.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        chosen, number = settings.load(argv, process="broker")
        log = logs.setup(f"broker-{number}", chosen.log_level)
        settings.make_data_dir(chosen)
        context = zmq.Context(io_threads=1)
        lock = only_one(chosen, number)
        publishers, subscribers, authenticator = bind(context, chosen, number, log)
    except ConfigError as error:
        print(f"broker: {error}", file=sys.stderr)
        return EX_CONFIG
    proxy = threading.Thread(target=serve, args=(publishers, subscribers), name="proxy")
    proxy.start()
    log.info("what=ready number=%d pid=%d", number, os.getpid())
    signal.sigwait(STOP_SIGNALS)
    log.info("what=stopping")
    if authenticator:
        authenticator.stop()
    context.term()
    proxy.join()
    os.close(lock)
    return 0


def serve(publishers: zmq.Socket[bytes], subscribers: zmq.Socket[bytes]) -> None:
    """Copy until the context ends; then close the sockets, for which `Context.term` waits."""
    try:
        # In drop mode, on purpose: with XPUB_NODROP one frozen subscriber would stop everybody.
        zmq.proxy(publishers, subscribers)
    except zmq.ContextTerminated:
        publishers.close()
        subscribers.close()


def only_one(chosen: settings.Settings, number: int) -> int:
    """Hold the lock of this broker number; a second broker would steal its sockets silently.

    Raises:
        ConfigError: another process holds it.
    """
    path = settings.runtime_dir(chosen.data_dir) / f"broker-{number}.lock"
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"broker {number} of {chosen.data_dir} runs already") from None
    return lock


def bind(
    context: zmq.Context[zmq.Socket[bytes]],
    chosen: settings.Settings,
    number: int,
    log: logging.Logger,
) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes], ThreadAuthenticator | None]:
    """Make and bind the two sockets, and what checks the keys of TCP peers.

    Raises:
        ConfigError: an address is wrong or in use, or a key cannot be read.
    """
    local, remote = local_address(chosen, number), listen_address(chosen, number)
    publishers, subscribers = _socket(context, zmq.XSUB), _socket(context, zmq.XPUB)
    authenticator: ThreadAuthenticator | None = None
    try:
        publishers.bind(local.publish)
        subscribers.bind(local.subscribe)
        if remote:
            keys = keys_dir(chosen)
            if keys:
                # Options act on later binds only: the unix sockets above stay plain, since the
                # directory they are in lets nobody else near them.
                for socket in (publishers, subscribers):
                    use_server_keys(socket, keys)
                authenticator = check_keys(context, keys, log)
            publishers.bind(remote.publish)
            subscribers.bind(remote.subscribe)
    except zmq.ZMQError as error:
        raise ConfigError(f"bus address of broker {number}: {error}") from None
    return publishers, subscribers, authenticator


def _socket(context: zmq.Context[zmq.Socket[bytes]], kind: int) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.linger = 0
    socket.sndhwm = socket.rcvhwm = HIGH_WATER
    socket.maxmsgsize = MAX_BUS_BYTES
    socket.heartbeat_ivl, socket.heartbeat_timeout, socket.heartbeat_ttl = 1000, 3000, 5000
    socket.ipv6 = True
    return socket


def check_keys(
    context: zmq.Context[zmq.Socket[bytes]], keys: Path, log: logging.Logger
) -> ThreadAuthenticator:
    """Let in only the public keys in `keys`/clients (RFC 27/ZAP), and log who else comes.

    Raises:
        ConfigError: they cannot be read.
    """
    # Imported here: it brings a thread and asyncio, which a broker on one machine does without.
    from zmq.auth.thread import ThreadAuthenticator

    clients = keys / "clients"
    bus_keys.check_clients(clients)
    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    known = bus_keys.KnownClients(clients, lambda key: log.warning("what=key_refused key=%s", key))
    authenticator.configure_curve_callback(ZAP_DOMAIN.decode(), credentials_provider=known)
    return authenticator


def use_server_keys(socket: zmq.Socket[bytes], keys: Path) -> None:
    """Have later binds of `socket` take only CURVE peers that ZAP lets in.

    Raises:
        ConfigError: the broker's key cannot be read.
    """
    public, secret = bus_keys.broker_keys(keys)
    socket.zap_domain = ZAP_DOMAIN
    socket.zap_enforce_domain = 1
    socket.curve_server = True
    socket.curve_publickey, socket.curve_secretkey = public, secret


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
