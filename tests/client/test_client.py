"""The client library with a real cluster."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import hubbub
from hubbub.client import Client
from hubbub.frames import Message, Presence
from tests.fixtures import ClusterFactory
from tests.support import ROOT, Cluster, clean_environment, eventually, slack


async def texts_until(client: Client, last: str) -> list[str]:
    """The texts that a client is shown up to and with `last`."""
    texts: list[str] = []
    async with asyncio.timeout(slack(30)):
        async for event in client:
            if isinstance(event, Message):
                texts.append(event.text)
                if event.text == last:
                    break
    return texts


async def test_two_people_on_two_gateways_hear_each_other(shared: Cluster, room: str) -> None:
    async with (
        hubbub.connect(shared.server(0), name="Radha") as radha,
        hubbub.connect(shared.server(1), name="Rita") as rita,
    ):
        await radha.join(room)
        roster = await rita.join(room.title())
        assert roster.room == room  # as it was first called
        assert {person.name for person in roster.members} == {"Radha", "Rita"}
        said = await radha.say(room, "hi friends!")
        assert (await rita.say(room.upper(), "At 5pm")).seq == said.seq + 1
        assert await texts_until(radha, "At 5pm") == ["hi friends!", "At 5pm"]
        assert await texts_until(rita, "At 5pm") == ["hi friends!", "At 5pm"]


async def test_the_calls_answer_what_they_promise(cluster: Cluster) -> None:
    async with hubbub.connect(cluster.server(), name="Radha") as client:
        await client.join("lobby")
        for number in range(5):
            await client.say("lobby", f"text {number}")
        assert (await client.say("lobby", "waves", action=True)).seq == 6
        past = await client.history("lobby", after=1, limit=2)
        assert [event.seq for event in past.events] == [2, 3]
        assert (past.head, past.more) == (6, True)
        assert [event.seq for event in (await client.history("lobby", limit=2)).events] == [5, 6]
        assert await client.nick("Radhá") == "Radhá"
        assert [one.room for one in await client.rooms()] == ["lobby"]
        assert [one.name for one in await client.peers()] == ["Radhá"]
        assert [one.name for one in (await client.members("lobby")).members] == ["Radhá"]
        report = await client.status()
        assert report.sessions == 1
        await client.leave("lobby")
        await client.leave("lobby")
        assert client.joined == []
        with pytest.raises(hubbub.Refused) as caught:
            await client.say("lobby", "from outside")
        assert caught.value.code == hubbub.Code.NOT_MEMBER


async def test_the_same_id_is_said_once_and_answered_alike(shared: Cluster, room: str) -> None:
    async with hubbub.connect(shared.server(), name="Radha") as client:
        await client.join(room)
        ident = os.urandom(16)
        first = await client.say(room, "once", id=ident)
        assert (await client.say(room, "once", id=ident)).seq == first.seq
        with pytest.raises(hubbub.Refused) as caught:
            await client.say(room, "twice", id=ident)
        assert caught.value.code == hubbub.Code.CONFLICT


async def test_joining_with_since_brings_what_was_missed_first(shared: Cluster, room: str) -> None:
    async with hubbub.connect(shared.server(0), name="Radha") as radha:
        await radha.join(room)
        for number in range(700):
            radha.say_nowait(room, str(number))
        await radha.ping()
        async with hubbub.connect(shared.server(1), visible=False) as late:
            await late.join(room, since=100)
            await radha.say(room, "end")
            assert await texts_until(late, "end") == [*map(str, range(100, 700)), "end"]


async def test_a_cursor_above_the_head_is_refused_with_the_head(shared: Cluster, room: str) -> None:
    async with hubbub.connect(shared.server(), name="Radha") as client:
        with pytest.raises(hubbub.EpochChanged) as caught:
            await client.join(room, since=5)
        assert caught.value.epoch == client.epoch


async def test_a_goodbye_frees_the_name_at_once(shared: Cluster) -> None:
    for gateway in (0, 1, 0):
        async with hubbub.connect(shared.server(gateway), name="Radha") as client:
            assert client.name == "Radha"


async def test_a_taken_name_is_refused(shared: Cluster) -> None:
    async with hubbub.connect(shared.server(0), name="Radha"):
        with pytest.raises(hubbub.Refused) as caught:
            async with hubbub.connect(shared.server(1), name="RADHA"):
                pass
        assert caught.value.code == hubbub.Code.NAME_TAKEN


async def test_a_kept_session_is_resumed_by_its_token(shared: Cluster) -> None:
    async with hubbub.connect(shared.server(0), name="Radha", keep_session=True) as client:
        sender, token = client.sender, client.token
    async with hubbub.connect(shared.server(1), token=token) as client:
        assert (client.name, client.sender) == ("Radha", sender)


async def test_when_its_gateway_is_killed_a_client_goes_on_at_another(cluster: Cluster) -> None:
    """“Clients of a killed gateway are resumed within 3 s”, and lines stay in their order."""
    both = (cluster.server(0), cluster.server(1))
    async with (
        hubbub.connect(*both, name="Radha") as radha,
        hubbub.connect(cluster.server(1), name="Rita") as rita,
    ):
        await radha.join("lobby")
        await rita.join("lobby")
        answers, killed = [], 0.0
        for number in range(300):
            answers.append(radha.say_nowait("lobby", str(number)))
            if number == 150:
                await answers[50]
                cluster.gateways[0].kill()
                killed = time.monotonic()
        numbers = [(await answer).seq for answer in answers]
        assert time.monotonic() - killed < slack(3)
        assert numbers == sorted(numbers)
        await rita.say("lobby", "end")
        wanted = [*map(str, range(300)), "end"]
        assert await texts_until(rita, "end") == wanted
        assert await texts_until(radha, "end") == wanted


async def test_a_frozen_gateway_is_left_for_another(cluster: Cluster) -> None:
    cluster.gateways[0].freeze()
    began = time.monotonic()
    patience = hubbub.Patience(greet_within=1)
    both = (cluster.server(0), cluster.server(1))
    async with hubbub.connect(*both, name="Radha", patience=patience) as client:
        assert time.monotonic() - began < slack(3)
        await client.join("lobby")
    cluster.gateways[0].thaw()


async def test_while_everything_restarts_a_client_loses_nothing(cluster: Cluster) -> None:
    """“A restart of everything keeps rooms, history and the sessions that resume.”"""
    both = (cluster.server(0), cluster.server(1))
    async with hubbub.connect(*both, name="Radha") as client:
        sender = client.sender
        await client.join("lobby")
        await client.say("lobby", "before")
        await cluster.stop()
        between = client.say_nowait("lobby", "between")
        for process in [*cluster.brokers, *cluster.workers, *cluster.gateways]:
            await cluster.restart(process)
        await between
        await client.say("lobby", "after")
        assert await texts_until(client, "after") == ["before", "between", "after"]
        assert client.sender == sender


async def test_after_its_session_is_over_a_client_comes_back_without_gap_or_double(
    make_cluster: ClusterFactory,
) -> None:
    """`expired`: a new hello with the same name, and the rooms again from where it was."""
    cluster = await make_cluster(gateways=2, left_after=0.5, resume_within=1.5)
    async with (
        hubbub.connect(cluster.server(0), name="Radha") as radha,
        hubbub.connect(cluster.server(1), name="Rita") as rita,
    ):
        await radha.join("lobby")
        await rita.join("lobby")
        sender = radha.sender
        await rita.say("lobby", "before")
        await radha.ping()
        cluster.gateways[0].kill()
        await rita.say("lobby", "between")

        async def is_over() -> bool:
            # Not her absence among the peers: that comes sooner, while she may still resume.
            return (await rita.status()).sessions == 1

        await eventually(is_over, 10)
        await cluster.restart(cluster.gateways[0])
        await radha.say("lobby", "I am back")
        await rita.say("lobby", "after")
        wanted = ["before", "between", "I am back", "after"]
        assert await texts_until(radha, "after") == wanted
        assert await texts_until(rita, "after") == wanted
        assert radha.name == "Radha"
        assert radha.sender != sender


async def test_who_comes_and_goes_is_told(shared: Cluster, room: str) -> None:
    async with hubbub.connect(shared.server(0), name="Radha") as radha:
        await radha.join(room)
        async with hubbub.connect(shared.server(1), name="Rita") as rita:
            await rita.join(room)
            await rita.ping()
        await radha.ping()
        changes = []
        while (event := radha.event_nowait()) is not None:
            if isinstance(event, Presence) and event.name == "Rita":
                changes.append(event.change)
        assert changes == ["entered", "left"]


async def test_a_busy_room_that_is_not_read_is_caught_up_with(make_cluster: ClusterFactory) -> None:
    cluster = await make_cluster(gateways=1, say_rate=0.0)
    async with (
        hubbub.connect(cluster.server(), name="Radha") as radha,
        hubbub.connect(cluster.server(), name="Rita") as rita,
    ):
        await radha.join("lobby")
        await rita.join("lobby")
        text = "x" * 1000
        answers = [radha.say_nowait("lobby", f"{n} {text}") for n in range(5000)]
        await answers[-1]
        await radha.say("lobby", "end")
        seen = await texts_until(rita, "end")
        assert [one.split()[0] for one in seen] == [*map(str, range(5000)), "end"]


# --- the bot in the README ----------------------------------------------------------------------


@pytest.fixture
async def bot(cluster: Cluster, tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    code = next(one for one in re.findall(r"```python\n(.*?)```", readme, re.S) if "connect" in one)
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    path = tmp_path / "bot.py"
    path.write_text(code, encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        cluster.python, str(path), env=clean_environment(server=cluster.server(1))
    )
    yield process
    if process.returncode is None:
        process.terminate()
    await process.wait()


async def test_the_bot_in_the_readme_answers(
    cluster: Cluster, bot: asyncio.subprocess.Process
) -> None:
    async with hubbub.connect(cluster.server(0), name="Radha") as client:

        async def is_there() -> bool:
            return any(peer.name == "echo" for peer in await client.peers())

        await client.join("lobby")
        await eventually(is_there, 10)
        await eventually(lambda: _members(client), 10)
        await client.say("lobby", "!echo hello")
        assert await texts_until(client, "hello") == ["!echo hello", "hello"]
    assert bot.returncode is None


async def _members(client: Client) -> bool:
    return len((await client.members("lobby")).members) == 2
