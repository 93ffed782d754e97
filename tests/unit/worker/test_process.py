"""Real workers behind real brokers, spoken to in bus frames."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest_asyncio

from hubbub import wire
from hubbub.frames import Message, Ok, Ping, Pong, Report, Say, Status, server_decoder
from hubbub.wire import Kind, Lost, Missing, Probe, Refill, Sync
from tests.fixtures import ClusterFactory
from tests.support import Cluster, eventually, passing, slack
from tests.unit.worker.gateway import TestGateway
from worker.version import SCHEMA

OpenGateway = Callable[[Cluster, str], Awaitable[TestGateway]]


@pytest_asyncio.fixture
async def gateway() -> AsyncIterator[OpenGateway]:
    """Opens gateways that close with the test."""
    opened: list[TestGateway] = []

    async def start(cluster: Cluster, id: str = "g1") -> TestGateway:
        made = TestGateway(cluster, id)
        opened.append(made)
        await made.start()
        return made

    yield start
    for each in opened:
        each.close()


def say(text: str) -> Say:
    """A post in the lobby."""
    return Say(0, os.urandom(16), "lobby", text)


def texts(gateway: TestGateway) -> list[tuple[int, str]]:
    """(seq, text) of what was on the stream."""
    bodies = [server_decoder.decode(i.body) for i in gateway.items if i.kind == Kind.MESSAGE]
    return [(body.seq, body.text) for body in bodies if isinstance(body, Message)]


async def test_batches_in_any_order_are_numbered_in_the_order_they_were_made(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """“What one connection says is numbered in the order it was said.”"""
    cluster = await make_cluster(gateways=0)
    one = await gateway(cluster, "g1")
    session = await one.person("alice", "lobby")
    batches = [one.make((say(str(n)), *session)) for n in range(60)]
    shuffled = batches * 2
    random.Random(1).shuffle(shuffled)
    for batch in shuffled:
        one.send(batch)
    answers = [(await one.answered(batch))[0].reply for batch in batches]
    assert [a.seq for a in answers if isinstance(a, Ok)] == list(range(1, 61))
    assert sorted(texts(one)) == [(n + 1, str(n)) for n in range(60)]
    no = batches[7].asks[0].no
    before = len(one.answers[no])
    one.send(batches[7])  # its answer was lost, say
    await eventually(lambda: len(one.answers[no]) > before)
    assert one.answers[no][-1] == one.answers[no][0]


async def test_what_is_missing_is_asked_for(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """“What is missing it asks for (`Missing`).”"""
    cluster = await make_cluster(gateways=0)
    one = await gateway(cluster, "g1")
    session = await one.person("alice", "lobby")
    lost, sent = one.make((say("one"), *session)), one.make((say("two"), *session))
    one.send(sent)

    def asked() -> bool:
        missing = Missing(one.term, lost.number, lost.number)
        return missing in one.asked

    await eventually(asked)
    one.send(lost)
    await one.answered(sent)
    assert texts(one) == [(1, "one"), (2, "two")]


async def test_the_same_id_through_two_gateways_at_once_is_stored_once(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """“The same `id` sent through two gateways at once: stored once, both answered alike.”"""
    cluster = await make_cluster(gateways=0)
    one, two = await gateway(cluster, "g1"), await gateway(cluster, "g2")
    session = await one.person("alice", "lobby")
    for _ in range(100):
        frame = say("x")
        first, second = one.make((frame, *session)), two.make((frame, *session))
        one.send(first)
        two.send(second)
        assert (await one.answered(first))[0].reply == (await two.answered(second))[0].reply
    assert [seq for seq, _ in texts(two)] == list(range(1, 101))


async def test_a_lost_stretch_of_the_stream_can_be_had_again(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """“A gap is asked for (`Refill`).”"""
    cluster = await make_cluster(gateways=0)
    one, late = await gateway(cluster, "g1"), await gateway(cluster, "late")
    session = await one.person("alice", "lobby")
    for n in range(5):
        await one.ask((say(str(n)), *session))
    late.batches = []
    late.send(Refill("late", late.term, 1, 99))
    await eventually(lambda: len(late.batches) >= len(one.batches))
    assert sorted({batch.position for batch in late.batches}) == [b.position for b in one.batches]


async def test_a_ping_is_answered_after_all_that_came_before_it(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """“Whatever was answered to anybody before the ping is delivered before the pong.”"""
    cluster = await make_cluster(gateways=0)
    one, two = await gateway(cluster, "g1"), await gateway(cluster, "g2")
    session = await one.person("alice", "lobby")
    for n in range(100):
        await one.ask((say(str(n)), *session))
        before = one.positions[-1]
        (pong,) = await two.ask((Ping(0), 0, 0))
        assert isinstance(pong.reply, Pong)
        assert two.positions[-1] >= before


async def test_after_kill_9_the_standby_serves_within_3_seconds_with_the_same_answers(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """“A standby that takes over within 3 s of a `kill -9`, without a number given twice.”"""
    cluster = await make_cluster(gateways=0, workers=2)
    one = await gateway(cluster, "g1")
    session = await one.person("alice", "lobby")
    frames = [say(str(n)) for n in range(200)]
    before = await one.ask(*((frame, *session) for frame in frames[:100]))
    unanswered = one.make(*((frame, *session) for frame in frames[50:150]))
    one.send(unanswered)
    term = one.term
    cluster.active_worker.kill()
    since = time.monotonic()
    await eventually(lambda: one.term > term, 3.0, what="a new term")
    synced = await one.sync([session])
    assert synced.over == []
    one.send(unanswered)  # late on the bus, with a number of another term
    after = await one.ask(*((frame, *session) for frame in frames))
    assert time.monotonic() - since < slack(3.0)
    assert [a.reply for a in after[:100]] == [a.reply for a in before]
    assert [a.reply.seq for a in after if isinstance(a.reply, Ok)] == list(range(1, 201))
    for _ in range(unanswered.number):
        await one.ask((Ping(0), 0, 0))


async def test_a_worker_that_hangs_is_ended_and_replaced_within_8_seconds(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """“Within 8 s of a worker that hangs.”"""
    cluster = await make_cluster(gateways=0, workers=2)
    one = await gateway(cluster, "g1")
    session = await one.person("alice", "lobby")
    hung = cluster.active_worker
    term = one.term
    hung.freeze()
    since = time.monotonic()
    await eventually(lambda: one.term > term, 8.0, what="a new term")
    await one.sync([session])
    await one.ask((say("x"), *session))
    assert time.monotonic() - since < slack(8.0)
    await eventually(lambda: not hung.alive, what="the hanging one is ended")


async def test_a_restart_ends_no_session_and_is_quick(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """“A restart of everything keeps rooms, history and the sessions that resume.”"""
    cluster = await make_cluster(gateways=0)
    one = await gateway(cluster, "g1")
    session = await one.person("alice", "lobby")
    await one.ask((say("before"), *session))
    term = one.term
    since = time.monotonic()
    assert await cluster.workers[0].stop() == 0
    assert time.monotonic() - since < slack(2.0)
    await cluster.restart(cluster.workers[0])
    await eventually(lambda: one.term > term)
    assert (await one.sync([session])).over == []
    (answer,) = await one.ask((say("after"), *session))
    assert isinstance(answer.reply, Ok)
    assert answer.reply.seq == 2
    with sqlite3.connect(cluster.data / "hubbub.db") as database:
        assert database.execute("SELECT count(*) FROM sessions").fetchone() == (1,)
    database.close()


async def test_a_gateway_that_vanishes_is_asked_and_its_people_are_gone_within_a_second(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """“Its people are shown as gone within 1 s.”"""
    cluster = await make_cluster(gateways=0)
    one, two = await gateway(cluster, "g1"), await gateway(cluster, "g2")
    await one.person("alice", "lobby")
    await two.person("bob", "lobby")
    two.batches = []
    since = time.monotonic()
    one.close()
    await eventually(lambda: Kind.GATEWAY_GONE in [item.kind for item in two.items], 2.0)
    assert time.monotonic() - since < slack(1.0)
    assert [item.kind for item in two.items] == [Kind.PRESENCE, Kind.GATEWAY_GONE]
    assert not [frame for frame in two.asked if isinstance(frame, Probe)]


async def test_a_gateway_that_died_with_the_owner_is_found_gone_by_the_next_one(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """Nobody saw its subscription vanish; its people need not wait for the lease."""
    cluster = await make_cluster(gateways=0)
    one, two = await gateway(cluster, "g1"), await gateway(cluster, "g2")
    await one.person("alice", "lobby")
    cluster.workers[0].kill()
    one.close()
    term = two.term
    await cluster.restart(cluster.workers[0])
    await eventually(lambda: two.term > term)
    await eventually(lambda: Kind.GATEWAY_GONE in [item.kind for item in two.items], 5.0)
    assert [item.kind for item in two.items] == [Kind.PRESENCE, Kind.GATEWAY_GONE]


async def test_a_killed_broker_makes_nobody_gone(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """“A vanished subscription is a question, not an answer.”"""
    cluster = await make_cluster(gateways=0)
    one = await gateway(cluster, "g1")
    session = await one.person("alice", "lobby")
    for broker in cluster.brokers:
        one.alive()
        broker.kill()
        for _ in range(3):  # a gateway says so every second, and does not answer questions here
            await passing(0.9)
            one.alive()
        await cluster.restart(broker)
        await eventually(lambda: one.bus.good == 2)
    await one.ask((say("x"), *session))
    assert Kind.GATEWAY_GONE not in [item.kind for item in one.items]


async def test_after_an_outage_in_which_asks_were_given_up_a_new_term_begins(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """What gateways gave up may have been the news of lost connections: they are to say anew."""
    cluster = await make_cluster(gateways=0, brokers=1, request_within=1)
    one = await gateway(cluster, "g1")
    session = await one.person("alice", "lobby")
    term = one.term
    broker = cluster.brokers[0]
    broker.kill()
    await cluster.workers[0].line("what=broker_silent")
    await passing(1.0)
    await cluster.restart(broker)
    await eventually(lambda: one.term > term, 5.0, what="a new term")
    (answer,) = await one.ask((say("x"), *session))
    assert isinstance(answer.reply, Ok)


async def test_an_owner_goes_above_a_term_that_gateways_have_seen(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """“A gateway ignores lower terms”: of an owner of a fresh database, all that it says."""
    cluster = await make_cluster(gateways=0)
    one = await gateway(cluster, "g1")
    one.send(Sync("g1", 41, 1))
    await eventually(lambda: one.term == 42, 5.0, what="a higher term")
    await one.person("alice", "lobby")


async def test_a_gateway_that_gives_up_asks_is_followed(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """“`first` in each later batch names the lowest number that still counts.”"""
    cluster = await make_cluster(gateways=0)
    one = await gateway(cluster, "g1")
    session = await one.person("alice", "lobby")
    given_up = one.make((say("never"), *session))
    after = one.make((say("later"), *session))
    one.send(msgspec.structs.replace(after, first=after.number))
    (answer,) = await one.answered(after)
    assert isinstance(answer.reply, Ok)
    one.send(given_up)
    await one.ask((Ping(0), 0, 0))
    assert texts(one) == [(1, "later")]


async def test_garbage_on_the_bus_leaves_a_warning_and_no_more(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """“Garbage on every socket: a clear error, never a traceback, never growth.”"""
    cluster = await make_cluster(gateways=0)
    one = await gateway(cluster, "g1")
    chance = random.Random(3)
    good = one.make((say("x"), 1, 1))
    encoded = wire.encoder.encode(good)
    for _ in range(300):
        noise = bytearray(encoded if chance.random() < 0.5 else chance.randbytes(50))
        noise[chance.randrange(len(noise))] = chance.randrange(256)
        one.bus.publish(wire.shard_topic(0), wire.MESSAGE, bytes(noise))
    one.bus.publish(wire.shard_topic(0), wire.MESSAGE, b"")
    one.bus.publish(wire.shard_topic(0), b"", b"")
    one.bus.publish(wire.shard_topic(0), wire.MESSAGE, b"\x91" * 10_000)
    two = await gateway(cluster, "g2")
    (answer,) = await two.ask((Status(0), *(await two.person("alice"))))
    assert isinstance(answer.reply, Report)
    assert answer.reply.sessions == 1
    assert answer.reply.brokers == 2


async def test_a_full_disk_is_answered_and_heals(
    make_cluster: ClusterFactory, gateway: OpenGateway
) -> None:
    """“Disk full: the asks of that batch are answered `unavailable`.”"""
    cluster = await make_cluster(gateways=0)
    worker = cluster.workers[0]
    worker.forgiven = True
    one = await gateway(cluster, "g1")
    session = await one.person("alice", "lobby")
    with sqlite3.connect(cluster.data / "hubbub.db", isolation_level=None) as outside:
        outside.execute("PRAGMA busy_timeout = 5000")
        outside.execute(
            "CREATE TRIGGER full BEFORE INSERT ON done BEGIN SELECT RAISE(FAIL, 'full'); END"
        )
        frame = say("x")
        news = one.make((frame, *session), (Lost(), *session))
        one.send(news)
        await eventually(lambda: news.asks[0].no in one.answers)
        assert getattr(one.answers[news.asks[0].no][0].reply, "code", "") == "unavailable"
        outside.execute("DROP TRIGGER full")
    outside.close()
    await one.answered(news)  # a lost connection is news, and not to be refused
    assert [item.kind for item in one.items][-1] == Kind.PRESENCE
    again = one.make((frame, *session), all_answered=True)
    one.send(again)
    (answer,) = await one.answered(again)
    assert isinstance(answer.reply, Ok)
    assert answer.reply.seq == 1


async def test_a_newer_database_is_refused_in_one_sentence(make_cluster: ClusterFactory) -> None:
    """“A database newer than the program is refused”, with exit status 78."""
    cluster = await make_cluster(gateways=0, brokers=1)
    worker = cluster.workers[0]
    assert await worker.stop() == 0
    with sqlite3.connect(cluster.data / "hubbub.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    worker.start()
    await eventually(lambda: not worker.alive)
    assert await worker.stop() == 78
    (line,) = worker.output().splitlines()
    assert f"newer Hubbub (schema 9999, this one knows {SCHEMA})" in line


async def test_a_database_that_fails_is_told_in_a_line_and_tried_again_later(
    make_cluster: ClusterFactory,
) -> None:
    """“Clear refusals”; and no busy loop of starts."""
    cluster = await make_cluster(gateways=0, brokers=1)
    worker = cluster.workers[0]
    assert await worker.stop() == 0
    with sqlite3.connect(cluster.data / "hubbub.db") as database:
        database.execute("ALTER TABLE leases RENAME TO elsewhere")
    database.close()
    worker.forgiven = True
    since = time.monotonic()
    worker.start()
    await eventually(lambda: not worker.alive)
    assert time.monotonic() - since >= 1.0
    assert await worker.stop() == 75
    assert "what=database_failed why='no such table: leases'" in worker.output()
    assert "Traceback" not in worker.output()
    (cluster.data / "hubbub.db").unlink()
    with sqlite3.connect(cluster.data / "hubbub.db") as database:
        database.execute("CREATE TABLE rooms (other)")
    database.close()
    worker.start()
    await eventually(lambda: not worker.alive)
    assert await worker.stop() == 78
    assert "hubbub.db: table rooms already exists" in worker.output()
    assert "Traceback" not in worker.output()


async def test_a_lock_taken_while_sigterm_comes_leaves_a_clean_exit(
    make_cluster: ClusterFactory,
) -> None:
    """A standby leaves at once, too."""
    cluster = await make_cluster(gateways=0, brokers=1, workers=2)
    standby = next(each for each in cluster.workers if each is not cluster.active_worker)
    standby.signal(signal.SIGTERM)
    await eventually(lambda: not standby.alive, 1.0)
    assert await standby.stop() == 0
