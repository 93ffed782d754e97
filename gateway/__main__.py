"""`python -m gateway`: one gateway process, from settings to a clean exit."""

from __future__ import annotations

import asyncio
import gc
import logging
import secrets
import signal
import sys
from collections.abc import Callable

import uvloop

from gateway.hub import Hub
from gateway.listener import Listener, raise_descriptor_limit
from hubbub import wire
from hubbub.bus import Bus, broker_addresses
from hubbub.errors import ConfigError
from hubbub.logs import setup
from hubbub.settings import Settings, load, make_data_dir

EXIT_CONFIG = 78  # sysexits.h: EX_CONFIG
LISTEN_WITHIN = 3.0  # seconds to wait for the owner before clients are accepted without one
MOVE_WITHIN = 2.0  # seconds that clients are given to go elsewhere
GRACE = 0.5  # seconds more, for the slowest of them
PARTING = 1.0  # seconds for the owner to take note of who is lost
CHECK_EVERY = 0.05  # seconds between looks while draining


async def serve(settings: Settings, number: int) -> None:
    """Run until SIGTERM or SIGINT, then drain.

    Raises:
        ConfigError: a port is somebody else's, or the bus cannot be used as set.
    """
    gateway = f"gateway-{number}.{secrets.token_hex(3)}"
    log = setup(gateway, settings.log_level)
    raise_descriptor_limit()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    inbox = wire.gateway_topic(gateway)
    bus = Bus(broker_addresses(settings), identity=gateway, inbox=inbox, settings=settings, log=log)
    hub = Hub(settings, gateway, bus, log)
    listener = Listener(hub, log)
    listener.bind()
    await bus.start()
    hub.start()
    try:
        await _either(stop, hub.ready, LISTEN_WITHIN)
        for address in listener.listen():
            log.info("what=listening address=%s", address)
        gc.collect()
        gc.freeze()  # what lives as long as the process need not be looked at again
        await _either(stop, hub.ready, None)
        if hub.ready.is_set():
            log.info("what=ready")
        await stop.wait()
        await _drain(settings, hub, listener, log)
    finally:
        hub.stop()
        listener.stop()
        bus.close()


async def _drain(settings: Settings, hub: Hub, listener: Listener, log: logging.Logger) -> None:
    """Send everybody elsewhere, finish what is in flight, and leave the sessions to be resumed."""
    loop = asyncio.get_running_loop()
    end = loop.time() + settings.drain_within
    log.info("what=draining connections=%d", hub.connected)
    listener.close()
    hub.begin_drain(MOVE_WITHIN)
    moved = min(end - PARTING, loop.time() + MOVE_WITHIN + GRACE)
    await _until(lambda: hub.connected == 0, moved)
    await _until(lambda: hub.asked == 0, end - PARTING)
    hub.end_drain()
    parted = min(end, loop.time() + PARTING)
    await _until(lambda: hub.connected == 0 and hub.asked == 0, parted)
    log.info("what=stopped")


async def _until(condition: Callable[[], bool], deadline: float) -> None:
    loop = asyncio.get_running_loop()
    while not condition() and loop.time() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(CHECK_EVERY)  # poll: sockets and asks end in many places


async def _either(first: asyncio.Event, second: asyncio.Event, within: float | None) -> None:
    """Wait until one of two things has happened, or the time is over."""
    tasks = [asyncio.ensure_future(event.wait()) for event in (first, second)]
    await asyncio.wait(tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> int:
    """Load the settings and serve; the exit code is returned."""
    try:
        settings, number = load(sys.argv[1:], process="gateway")
        make_data_dir(settings)
        uvloop.run(serve(settings, number))
    except ConfigError as error:
        print(f"gateway: {error}", file=sys.stderr)
        return EXIT_CONFIG
    return 0


if __name__ == "__main__":
    sys.exit(main())
