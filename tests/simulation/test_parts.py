"""What the simulation is made of: time, processes, the bus, the disk, the sockets."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest

from gateway.connection import Connection
from tests.simulation.disk import Disk
from tests.simulation.network import HIGH_WATER, Network, SimulatedBus
from tests.simulation.sockets import KERNEL, Socket, Transport
from tests.simulation.world import Loop, World


def loop_of(world: World, name: str = "one") -> Loop:
    return Loop(world, name)  # type: ignore[abstract]


# --- time and processes --------------------------------------------------------------------------


def test_things_happen_at_their_time_and_those_of_one_time_in_the_order_they_were_asked_for() -> (
    None
):
    world, happened = World(1), list[tuple[float, str]]()
    loop = loop_of(world)
    loop.call_later(2.0, lambda: happened.append((world.now, "late")))
    loop.call_at(1.0, lambda: happened.append((world.now, "a")))
    loop.call_at(1.0, lambda: happened.append((world.now, "b")))
    loop.call_at(1.5, happened.append, (0.0, "never")).cancel()
    world.run(5.0)
    assert happened == [(1.0, "a"), (1.0, "b"), (2.0, "late")]
    assert world.now == 5.0


def test_a_frozen_process_does_nothing_and_then_all_of_it_in_order() -> None:
    world, happened = World(1), list[str]()
    loop = loop_of(world)
    for name in "abc":
        loop.call_later(1.0, happened.append, name)
    loop.freeze()
    world.run(2.0)
    assert happened == []
    loop.thaw()
    world.run(2.0)
    assert happened == ["a", "b", "c"]


def test_a_killed_process_never_does_anything_again() -> None:
    world, happened = World(1), list[str]()
    loop = loop_of(world)
    loop.call_later(1.0, happened.append, "a")
    loop.freeze()
    loop.call_soon(happened.append, "b")
    world.run(2.0)
    loop.kill()
    loop.thaw()
    world.run(3.0)
    assert happened == []


def test_tasks_and_waiting_are_asyncios_own() -> None:
    world, happened = World(1), list[object]()
    loop = loop_of(world)

    async def main() -> None:
        assert asyncio.get_running_loop() is loop
        event = asyncio.Event()
        loop.call_later(3.0, event.set)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(event.wait(), 1.0)
        await event.wait()
        happened.append(world.now)
        happened.append(await loop.run_in_executor(None, lambda: world.now))

    loop.call_soon(lambda: loop.create_task(main()))
    world.run(10.0)
    world.enter(None)
    assert happened[0] == 3.0
    assert isinstance(happened[1], float)
    assert 3.0 <= happened[1] < 3.1
    assert world.errors == []


def test_what_no_process_should_raise_is_noted() -> None:
    world = World(1)
    loop_of(world, "worker-1").call_soon(dict[str, str]().popitem)
    world.run(1.0)
    world.enter(None)
    assert world.errors == ["worker-1: KeyError: 'popitem(): dictionary is empty'"]


# --- the bus -------------------------------------------------------------------------------------


class Listener:
    """A process that keeps what comes."""

    def __init__(self, network: Network, *, topic: bytes = b"all/", watch: bool = False) -> None:
        self.got: list[bytes] = []
        self.gone: list[bytes] = []
        self.loop = loop_of(network.world)
        self.bus = SimulatedBus(network, self.loop, watch=watch)
        self.bus.subscribe(topic, self._take)
        self.bus.on_vanished(self.gone.append)
        self.loop.call_soon(lambda: self.loop.create_task(self.bus.start()))

    def _take(self, kind: int, data: bytes, offset: int) -> None:
        self.got.append(data[offset:])


def heard(seed: int, **weather: float) -> tuple[list[int], list[int]]:
    """What of 200 numbers of each of two publishers arrives."""
    network = Network(World(seed))
    ears, one, other = Listener(network), Listener(network, topic=b"o/"), Listener(network)
    network.world.run(1.0)
    for name, value in weather.items():
        setattr(network, name, value)
    for number in range(200):
        network.world.run(network.world.now + 0.001)
        one.bus.publish(b"all/", b"S", b"1 %d" % number)
        other.bus.publish(b"all/", b"S", b"2 %d" % number)
    network.world.run(9.0)
    network.world.enter(None)
    split = [text.split() for text in ears.got]
    mine = [int(number) for who, number in split if who == b"1"]
    theirs = [int(number) for who, number in split if who == b"2"]
    assert (mine + theirs) != [int(number) for _, number in split]  # they overtake each other
    return mine, theirs


def test_what_one_publishes_arrives_in_order_and_overtakes_what_others_do() -> None:
    assert heard(1, jitter=0.05) == (list(range(200)), list(range(200)))


def test_frames_are_lost_and_doubled_as_often_as_was_said() -> None:
    mine, _ = heard(2, loss=0.5)
    assert 60 < len(mine) < 140
    assert mine == sorted(set(mine))
    mine, _ = heard(3, doubling=0.5)
    assert set(mine) == set(range(200))
    assert 260 < len(mine) < 340


def test_publishing_moves_to_the_other_broker_when_one_is_away_and_to_none_when_both_are() -> None:
    network = Network(World(4))
    ears, mouth = Listener(network), Listener(network, topic=b"o/")
    network.world.run(1.0)
    assert mouth.bus.good == 2
    used = mouth.bus._first
    network.set_away(used, away=True)
    mouth.bus.publish(b"all/", b"S", b"in vain")
    network.world.run(3.0)
    assert mouth.bus.good == 1
    mouth.bus.publish(b"all/", b"S", b"by the other")
    network.set_away(1 - used, away=True)
    network.world.run(5.0)
    assert not mouth.bus.publish(b"all/", b"S", b"to nobody", everywhere=True)
    network.mend()
    network.world.run(7.0)
    assert mouth.bus.publish(b"all/", b"S", b"twice", everywhere=True)
    network.world.run(8.0)
    network.world.enter(None)
    assert ears.got == [b"twice", b"twice"]  # what was under way went down with its broker


def test_whoever_watches_is_told_who_has_gone() -> None:
    network = Network(World(5))
    watcher, other = Listener(network, watch=True), Listener(network, topic=b"g/other/")
    network.world.run(1.0)
    assert b"g/other/" in watcher.bus.subscribers
    other.bus.kill()
    network.world.run(2.0)
    network.world.enter(None)
    assert watcher.gone == [b"g/other/", b"g/other/"]  # at each of the two brokers
    assert watcher.bus.subscribers == {b"all/"}


def test_a_frozen_process_is_kept_no_more_than_the_buses_high_water() -> None:
    network = Network(World(6))
    ears, mouth = Listener(network), Listener(network, topic=b"o/")
    network.world.run(1.0)
    ears.loop.freeze()
    for number in range(HIGH_WATER + 50):
        mouth.bus.publish(b"all/", b"S", b"%d" % number)
    network.world.run(2.0)
    ears.loop.thaw()
    network.world.run(3.0)
    network.world.enter(None)
    assert ears.got == [b"%d" % number for number in range(HIGH_WATER)]


# --- the disk ------------------------------------------------------------------------------------


def terms(disk: Disk) -> int:
    return int(disk.execute("SELECT term FROM leases").fetchone()[0])


def raise_term(disk: Disk) -> None:
    disk.execute("BEGIN IMMEDIATE")
    disk.execute("UPDATE leases SET term = term + 1")
    disk.execute("COMMIT")


def test_the_disk_forgets_what_was_not_committed_and_fails_as_it_is_told() -> None:
    disk = Disk.open()
    raise_term(disk)
    assert terms(disk) == 1
    disk.execute("BEGIN IMMEDIATE")
    disk.execute("UPDATE leases SET term = 9")
    disk.recover()
    assert terms(disk) == 1
    for what, after in (("begin", 1), ("commit", 1), ("doubt", 2)):
        disk.failing = {what: 1}
        with pytest.raises(sqlite3.OperationalError):
            raise_term(disk)
        assert terms(disk) == after
    raise_term(disk)
    assert terms(disk) == 3
    disk.format()
    assert terms(disk) == 0
    disk.close()


# --- sockets -------------------------------------------------------------------------------------


class Recorder(Connection):
    """The gateway's end of a connection, that keeps what it is called with."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.calls.append("made")

    def data_received(self, data: bytes) -> None:
        self.calls.append(data)

    def eof_received(self) -> bool:
        self.calls.append("eof")
        return False

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append(("lost", type(exc).__name__ if exc is not None else ""))


class Pair:
    """Both ends."""

    def __init__(self) -> None:
        self.world = World(1)
        self.got = b""
        self.ends = 0
        self.socket = Socket(self.world, self._data, self._end)
        self.recorder = Recorder()
        self.socket.send(b"early")
        self.transport = Transport(loop_of(self.world), self.socket, self.recorder)

    def _data(self, data: bytes) -> None:
        self.got += data

    def _end(self) -> None:
        self.ends += 1

    def go_on(self) -> None:
        self.world.run(self.world.now + 1.0)
        self.world.enter(None)


def test_bytes_arrive_in_order_and_a_close_after_them() -> None:
    pair = Pair()
    pair.socket.send(b" and late")
    pair.socket.close()
    pair.go_on()
    calls = pair.recorder.calls
    assert calls[0] == "made"
    assert b"".join(call for call in calls if isinstance(call, bytes)) == b"early and late"
    assert calls[-2:] == ["eof", ("lost", "")]


def test_a_reader_that_stops_fills_the_kernel_and_then_the_transport() -> None:
    pair = Pair()
    pair.go_on()
    pair.transport.set_write_buffer_limits(high=1000, low=500)
    pair.socket.stop_reading()
    pair.transport.write(b"x" * KERNEL)
    assert pair.transport.get_write_buffer_size() == 0
    pair.transport.write(b"y" * 1001)
    assert pair.transport.get_write_buffer_size() == 1001
    assert pair.recorder.calls[-1] == "pause"
    pair.go_on()
    assert pair.got == b""
    pair.socket.go_on_reading()
    pair.go_on()
    assert pair.got == b"x" * KERNEL + b"y" * 1001
    assert pair.recorder.calls[-1] == "resume"


def test_who_writes_to_a_closed_client_loses_the_connection() -> None:
    pair = Pair()
    pair.go_on()
    pair.transport.pause_reading()  # so that it does not see the end
    pair.socket.close()
    pair.transport.write(b"x")
    pair.go_on()
    assert pair.recorder.calls[-1] == ("lost", "ConnectionResetError")


def test_a_killed_gateways_clients_get_what_was_under_way_and_then_the_end() -> None:
    pair = Pair()
    pair.go_on()
    pair.transport.write(b"x" * 10)
    pair.transport.vanish()
    pair.go_on()
    assert (pair.got, pair.ends) == (b"x" * 10, 1)
