"""`hubbub selftest` tells what is exact and what is not, and nobody notices it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import hubbub
from hubbub.frames import Message
from tests.client.thief import Fields, stealing
from tests.fixtures import ClusterFactory
from tests.support import Cluster, eventually, free_ports, slack

MINUTE = str(slack(60))


class Outcome(NamedTuple):
    """Of a whole run."""

    code: int
    out: str
    errors: str

    @property
    def report(self) -> dict[str, Any]:
        """With --json."""
        found: dict[str, Any] = json.loads(self.out)
        return found


async def start(cluster: Cluster, *arguments: str) -> asyncio.subprocess.Process:
    argv, env = cluster.command("selftest", *arguments)
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=pipe, env=env)


async def outcome(process: asyncio.subprocess.Process) -> Outcome:
    try:
        async with asyncio.timeout(slack(90)):
            out, errors = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Outcome(process.returncode, out.decode(), errors.decode())


async def selftest(cluster: Cluster, *arguments: str) -> Outcome:
    """Within a minute, unless `arguments` say otherwise: how fast it is is not tested here."""
    return await outcome(await start(cluster, "--within", MINUTE, *arguments))


def all_servers(cluster: Cluster) -> str:
    return ",".join(cluster.server(gateway) for gateway in cluster.gateways)


async def log_of(cluster: Cluster, room: str) -> list[Message]:
    async with hubbub.connect(cluster.server(), visible=False) as client:
        events = (await client.history(room, after=0, limit=500)).events
        return [event for event in events if isinstance(event, Message)]


# --- on a cluster that is in order ----------------------------------------------------------------


async def test_a_cluster_in_order_is_told_to_be_so_in_one_line(shared: Cluster, room: str) -> None:
    found = await selftest(shared, "--room", room, "--server", all_servers(shared))
    assert (found.code, found.errors) == (0, "")
    assert re.fullmatch(
        r"ok: 20 of 20 lines acknowledged, 80 of 80 deliveries, 0 lost, 0 doubled, 0 out of order;"
        r" ack p50 \d+ ms, max \d+ ms; shown p50 \d+ ms, max \d+ ms;"
        r" 3 of 3 gateways \(gateway-1\.\w+ gateway-2\.\w+ gateway-3\.\w+\); \d+\.\d s\n",
        found.out,
    )
    assert len({message.text for message in await log_of(shared, room)}) == 20


async def test_what_it_counts_is_true(shared: Cluster, room: str) -> None:
    """5 sessions, 7 lines each, at 50 a second: 35 lines in at least 0.68 s."""
    flags = ("--connections", "5", "--lines", "7", "--rate", "50", "--json")
    found = await selftest(shared, "--room", room, "--server", all_servers(shared), *flags)
    assert found.code == 0, found
    report = found.report
    assert report["lines"] == report["acknowledged"] == 35
    assert report["deliveries"] == report["delivered"] == 35 * 5
    assert (report["ok"], report["faults"], report["room"]) == (True, [], room)
    assert report["seconds"] >= 34 / 50
    for times in (report["ack"], report["shown"]):
        assert 0 < times["p50"] <= times["p99"] <= times["max"] <= 1000 * report["seconds"]
    messages = await log_of(shared, room)
    assert len(messages) == 35
    assert len({message.sender for message in messages}) == 5
    assert all(report["run"] in message.text for message in messages)


async def test_two_at_once_in_one_room_are_both_in_order(shared: Cluster, room: str) -> None:
    flags = ("--room", room, "--server", all_servers(shared), "--rate", "100")
    both = await asyncio.gather(selftest(shared, *flags), selftest(shared, *flags))
    assert [found.code for found in both] == [0, 0], both
    assert len(await log_of(shared, room)) == 40


async def test_whoever_repeats_its_lines_does_not_make_it_fail(shared: Cluster, room: str) -> None:
    async with hubbub.connect(shared.server(), name="Parrot") as parrot:
        await parrot.join(room)
        running = asyncio.ensure_future(selftest(shared, "--room", room, "--lines", "10"))
        heard = 0
        async for message in parrot.messages(room):
            if message.name != "Parrot":
                heard += 1
                await parrot.say(room, message.text)
            if heard == 40:
                break
        found = await running
    assert (found.code, found.errors) == (0, ""), found
    assert len(await log_of(shared, room)) == 80


async def test_nobody_elsewhere_sees_anything_of_it(shared: Cluster, room: str) -> None:
    """A person in another room is shown nothing; no list has its sessions while they are there."""
    async with hubbub.connect(shared.server(), name="Radha") as radha:
        await radha.join(f"other{room}")
        running = await start(shared, "--room", room, "--lines", "20", "--within", MINUTE)
        await eventually(lambda: _is_going_on(radha, room), 20)
        assert [peer.name for peer in await radha.peers()] == ["Radha"]
        assert (await radha.members(room, offline=True)).members == []
        assert [one.members for one in await radha.rooms(room) if one.room == room] == [0]
        assert running.returncode is None
        assert (await outcome(running)).code == 0
        await radha.ping()
        assert radha.event_nowait() is None


async def _is_going_on(client: hubbub.Client, room: str) -> bool:
    try:
        return (await client.history(room, after=0)).head > 0
    except hubbub.Refused:  # there is no such room yet
        return False


async def test_who_is_in_its_room_sees_the_lines_and_nobody_come_or_go(
    shared: Cluster, room: str
) -> None:
    async with hubbub.connect(shared.server(), name="Radha") as radha:
        await radha.join(room)
        assert (await selftest(shared, "--room", room)).code == 0
        await radha.ping()
        seen = []
        while (event := radha.event_nowait()) is not None:
            seen.append(event)
        assert len(seen) == 20
        assert all(isinstance(event, Message) for event in seen)


async def test_it_leaves_no_session_behind(make_cluster: ClusterFactory) -> None:
    cluster = await make_cluster(gateways=1)
    assert (await selftest(cluster)).code == 0
    async with hubbub.connect(cluster.server(), visible=False) as client:
        assert (await client.status()).sessions == 1


# --- on one that is hurt --------------------------------------------------------------------------


async def test_it_is_exact_over_the_death_of_the_worker(make_cluster: ClusterFactory) -> None:
    cluster = await make_cluster(gateways=2, workers=2)
    flags = ("--server", all_servers(cluster), "--rate", "20", "--lines", "15", "--json")
    running = await start(cluster, *flags, "--within", MINUTE)
    async with hubbub.connect(cluster.server(), visible=False) as client:
        await eventually(lambda: _is_going_on(client, "selftest"), 20)
    cluster.active_worker.kill()
    found = await outcome(running)
    assert found.code == 0, found
    assert found.report["delivered"] == 15 * 4 * 4
    assert found.report["ack"]["max"] > 100  # some had to wait for the other worker


async def test_it_is_exact_over_the_death_of_a_gateway(make_cluster: ClusterFactory) -> None:
    cluster = await make_cluster(gateways=2)
    flags = ("--server", all_servers(cluster), "--rate", "20", "--lines", "15", "--json")
    running = await start(cluster, *flags, "--within", MINUTE)
    async with hubbub.connect(cluster.server(), visible=False) as client:
        await eventually(lambda: _is_going_on(client, "selftest"), 20)
    cluster.gateways[1].kill()
    found = await outcome(running)
    assert found.code == 0, found
    assert found.report["reconnected"] == 2


async def test_a_line_that_never_comes_is_told_with_where(shared: Cluster, room: str) -> None:
    """The last one: no later number makes the client look for it."""
    lost: list[str] = []

    def treat(connection: int, frame: Fields) -> Fields | None:
        text = frame.get("text", "")
        if connection == 2 and text.endswith("line 1/1 of 2/2") and frame["t"] == "message":
            lost.append(text)
            return None
        return frame

    async with stealing(shared.address(0), treat) as thief:
        flags = ("--connections", "2", "--lines", "1", "--within", str(slack(1)))
        found = await selftest(shared, "--room", room, "--server", thief.address, *flags)
    assert lost
    assert found.code == 1
    at = r"at session [12] \(gateway-1\.\w+\)"
    assert re.match(rf"FAILED: not done within [\d.]+ s; line 1 of 2 not shown {at}:", found.out)
    assert "2 of 2 lines acknowledged, 3 of 4 deliveries, 1 lost, 0 doubled" in found.out


async def test_a_lost_line_is_told_also_when_a_later_one_makes_up_for_it(
    shared: Cluster, room: str
) -> None:
    """The client would look for it in the history, and a person would wait that long."""
    lost: list[str] = []

    def treat(connection: int, frame: Fields) -> Fields | None:
        text = frame.get("text", "")
        if connection == 1 and "line 1/" in text and frame["t"] == "message" and not lost:
            lost.append(text)
            return None
        return frame

    async with stealing(shared.address(0), treat) as thief:
        flags = ("--connections", "2", "--lines", "2", "--rate", str(2 / slack(1)), "--json")
        found = await selftest(shared, "--room", room, "--server", thief.address, *flags)
    report = found.report
    assert (found.code, report["delivered"], report["lost"], report["missed"]) == (1, 8, 0, 1)
    assert len(report["faults"]) == 1
    assert "line 1 of 1 not shown before the barrier" in report["faults"][0]


async def test_texts_that_are_not_what_was_said_are_told(shared: Cluster, room: str) -> None:
    def treat(connection: int, frame: Fields) -> Fields | None:
        if frame["t"] == "message" and connection == 1 and "line 1/" in frame["text"]:
            return frame | {"text": frame["text"].replace("line", "lime")}
        return frame

    async with stealing(shared.address(0), treat) as thief:
        flags = ("--connections", "2", "--lines", "1", "--within", str(slack(1)), "--json")
        found = await selftest(shared, "--room", room, "--server", thief.address, *flags)
    assert (found.code, found.report["altered"], found.report["lost"]) == (1, 2, 2)


async def test_a_history_that_lacks_a_line_is_told(shared: Cluster, room: str) -> None:
    """It is read on a connection of its own, the third."""

    def treat(connection: int, frame: Fields) -> Fields | None:
        if frame["t"] == "page" and connection == 3:
            return frame | {"events": frame["events"][1:]}
        return frame

    async with stealing(shared.address(0), treat) as thief:
        flags = ("--connections", "2", "--json")
        found = await selftest(shared, "--room", room, "--server", thief.address, *flags)
    assert (found.code, found.report["delivered"], found.report["lost"]) == (1, 20, 0)
    assert len(found.report["faults"]) == 1
    assert re.fullmatch(r"the history lacks line 1 of \d", found.report["faults"][0])


async def test_a_line_without_an_answer_is_told(shared: Cluster, room: str) -> None:
    """Also when everybody was shown it."""
    stolen: set[int] = set()

    def treat(connection: int, frame: Fields) -> Fields | None:
        if frame["t"] == "ok" and connection == 1 and stolen <= {frame["ref"]}:
            stolen.add(frame["ref"])
            return None
        return frame

    async with stealing(shared.address(0), treat) as thief:
        flags = ("--connections", "2", "--lines", "1", "--within", "1", "--json")
        found = await selftest(shared, "--room", room, "--server", thief.address, *flags)
    assert (found.code, found.report["acknowledged"]) == (1, 1), found
    assert any("not acknowledged" in fault for fault in found.report["faults"])


# --- where it cannot be done ----------------------------------------------------------------------


async def test_nobody_there_is_told_by_the_code_of_all_commands(shared: Cluster) -> None:
    nobody = f"127.0.0.1:{free_ports()[0]}"
    found = await selftest(shared, "--server", nobody, "--connect-within", "0.5")
    assert found == (69, "", f"hubbub: no server at {nobody}: Connection refused\n")


async def test_a_private_room_is_told_by_the_code_of_all_commands(
    shared: Cluster, room: str
) -> None:
    async with hubbub.connect(shared.server(), name=f"O{room}") as owner:
        await owner.register("correct horse")
        await owner.join(room, private=True)
        found = await selftest(shared, "--room", room)
    assert (found.code, found.out) == (77, "")
    assert len(found.errors.splitlines()) == 1


@pytest.mark.parametrize(("act", "told"), [("mute", "muted"), ("kick", "put out of ")])
async def test_who_is_muted_or_put_out_meanwhile_is_told_so(
    shared: Cluster, room: str, act: str, told: str
) -> None:
    async with hubbub.connect(shared.server(), name=f"O{room}") as owner:
        await owner.register("correct horse")
        await owner.join(room)
        running = await start(shared, "--room", room, "--lines", "40", "--within", MINUTE)
        message = await anext(owner.messages(room))
        await getattr(owner, act)(room, message.name)
        found = await outcome(running)
        assert (found.code, found.out) == (77, ""), found
        assert len(found.errors.splitlines()) == 1
        assert told in found.errors


@pytest.mark.parametrize(
    "flags",
    [
        ("--connections", "1"),
        ("--connections", "33"),
        ("--lines", "0"),
        ("--lines", "x"),
        ("--rate", "0"),
        ("--rate", "201"),
        ("--rate", "nan"),
        ("--within", "0"),
        ("--lines", "1000", "--rate", "200", "--within", "600"),  # in all too many
        ("--lines", "100"),  # these take 20 s, and there are 10
        ("--room", "@Radha"),
        ("--room", "a b"),
        ("--server", "nowhere"),
    ],
)
async def test_what_cannot_be_asked_for_is_told_before_anything_is_said(
    shared: Cluster, flags: tuple[str, ...]
) -> None:
    found = await outcome(await start(shared, *flags))
    assert (found.code, found.out) == (2, "")
    assert found.errors.splitlines()[-1].startswith("hubbub")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_and_its_sessions(
    make_cluster: ClusterFactory, number: signal.Signals
) -> None:
    cluster = await make_cluster(gateways=1)
    running = await start(cluster, "--lines", "40", "--within", MINUTE)
    async with hubbub.connect(cluster.server(), visible=False) as client:
        await eventually(lambda: _is_going_on(client, "selftest"), 20)
        running.send_signal(number)
        assert await outcome(running) == (128 + number, "", "")
        assert (await client.status()).sessions == 1


def test_the_example_of_its_manual_is_what_it_says(shared: Cluster, tmp_path: Path) -> None:
    argv, env = shared.command("selftest", "--help")
    out = subprocess.run(argv, env=env, capture_output=True, check=True, text=True).stdout
    assert "ok: 20 of 20 lines acknowledged, 80 of 80 deliveries, 0 lost" in out
    assert "up to 32\nof them, and 2000 lines" in out
