"""Accounts, devices and conversations through the client library, with a real cluster."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import hubbub
from hubbub.client import Client
from hubbub.frames import Event, Message
from tests.fixtures import ClusterFactory
from tests.support import Cluster, eventually, slack

PASSWORD = "correct horse"


async def next_of(client: Client, kind: type, /, **fields: object) -> Any:
    """The next event of a kind that has these values."""
    async with asyncio.timeout(slack(30)):
        async for event in client:
            if isinstance(event, kind) and all(
                getattr(event, name) == value for name, value in fields.items()
            ):
                return event
    raise AssertionError(f"the client ended before {kind.__name__}")


async def register(cluster: Cluster, name: str) -> str:
    """Make an account; its device."""
    async with hubbub.connect(cluster.server(0), name=name) as client:
        await client.register(PASSWORD)
        return client.device


async def test_a_guest_becomes_an_account_and_keeps_name_number_and_rooms(
    shared: Cluster, room: str
) -> None:
    """“A guest may turn into an account and keeps the name.”"""
    async with hubbub.connect(shared.server(0), name=room) as client:
        await client.join(room)
        sender = client.sender
        await client.register(PASSWORD)
        assert (client.account, client.name, client.sender) == (True, room, sender)
        device = client.device
        await client.say(room, "as an account")
    async with hubbub.connect(shared.server(1), device=device) as client:
        assert (client.name, client.sender, client.joined) == (room, sender, [room])
    async with hubbub.connect(shared.server(2), name=room.upper(), password=PASSWORD) as client:
        assert (client.name, client.sender, client.joined) == (room, sender, [room])
        assert client.device not in ("", device)
        assert len(await client.devices()) == 2
    with pytest.raises(hubbub.Refused) as caught:
        async with hubbub.connect(shared.server(0), name=room, password="guessed wrong"):
            pass
    assert caught.value.code == hubbub.Code.BAD_LOGIN


async def test_a_guest_logs_in_and_takes_the_rooms_along(shared: Cluster, room: str) -> None:
    await register(shared, room)
    async with (
        hubbub.connect(shared.server(1)) as client,
        hubbub.connect(shared.server(2), name=f"{room}2") as rita,
    ):
        guest = client.name
        await client.join(room)
        await rita.join(room)
        with pytest.raises(hubbub.Refused):
            await client.login(room, "guessed wrong")
        await client.say(room, "as a guest")
        await client.login(room, PASSWORD)
        assert (client.name, client.account, client.joined) == (room, True, [room])
        await client.say(room, "as an account")
        names = [(await next_of(rita, Message)).name for _ in range(2)]
        assert names == [guest, room]
        assert [(await next_of(client, Message)).text for _ in range(2)] == [
            "as a guest",
            "as an account",
        ]
        assert guest not in [one.name for one in await rita.peers()]


async def test_two_devices_on_two_gateways_share_rooms_marks_and_edits(
    shared: Cluster, room: str
) -> None:
    """“same rooms, same unread, read marks monotonic, an edit on one seen on the other.”"""
    device = await register(shared, room)
    async with (
        hubbub.connect(shared.server(0), device=device) as desk,
        hubbub.connect(shared.server(1), name=room, password=PASSWORD) as phone,
        hubbub.connect(shared.server(2), name=f"{room}2") as rita,
    ):
        await desk.join(room)
        assert (await next_of(phone, hubbub.Joined)).room == room
        await rita.join(room)
        first = await rita.say(room, f"hi @{room}")
        await rita.say(room, "are you there?")
        for client in (desk, phone):
            await next_of(client, Message, text="are you there?")
            state = client.state(room)
            assert state is not None
            assert (state.unread, state.mentions) == (2, 1)
        await desk.read(room)
        assert (await next_of(phone, hubbub.Marked)).room == room
        await phone.read(room, first.seq)
        for client in (desk, phone):
            await client.ping()
            state = client.state(room)
            assert state is not None
            assert (state.unread, state.mentions) == (0, 0)
        said = await phone.say(room, "helo")
        await phone.edit(room, said.seq, "hello")
        edited = await next_of(desk, Event, kind="edited")
        assert (edited.of, edited.text) == (said.seq, "hello")
        assert not any(one.count - one.marked for one in await desk.unread())
        await phone.leave(room)
        assert (await next_of(desk, hubbub.Parted)).room == room
        assert desk.joined == []
        assert await desk.unread() == []


async def test_a_conversation_waits_for_whoever_is_away(shared: Cluster, room: str) -> None:
    """“A private message to an offline person is there when they come, unread.”"""
    device = await register(shared, room)
    rita_is = f"{room}2"
    async with hubbub.connect(shared.server(1), name=rita_is) as rita:
        assert (await rita.say(f"@{room}", "call me")).room == f"@{room}"
        async with hubbub.connect(shared.server(0), device=device) as radha:
            assert radha.joined == [f"@{rita_is}"]
            state = radha.state(f"@{rita_is}")
            assert state is not None
            assert state.unread == 1
            past = await radha.history(f"@{rita_is}", after=state.mark)
            texts = [one.text for one in past.events if isinstance(one, Message)]
            assert texts == ["call me"]
            await radha.say(f"@{rita_is.upper()}", "when?")
            assert (await next_of(rita, Message, text="when?")).room == f"@{room}"
            assert (await next_of(radha, Message, text="when?")).room == f"@{rita_is}"
            state = radha.state(f"@{rita_is}")
            assert state is not None
            assert state.unread == 0
            await rita.nick(f"{room}3")
            await rita.say(f"@{room}", "now")
            assert (await next_of(radha, Message, text="now")).room == f"@{room}3"


async def test_who_is_put_out_is_told_and_stays_out(make_cluster: ClusterFactory) -> None:
    cluster = await make_cluster(gateways=2)
    device = await register(cluster, "Rita")
    async with (
        hubbub.connect(cluster.server(0), name="Radha") as radha,
        hubbub.connect(cluster.server(1), cluster.server(0), device=device) as rita,
    ):
        await radha.register(PASSWORD)
        await radha.join("lobby")
        await rita.join("lobby")
        await radha.kick("lobby", "rita", "noise")
        assert (await next_of(rita, Event, kind="kicked")).text == "noise"
        parted = await next_of(rita, hubbub.Parted)
        assert (parted.room, parted.why, parted.by) == ("lobby", "kicked", "Radha")
        cluster.gateways[1].kill()
        await next_of(rita, hubbub.Reconnected)
        assert rita.joined == []
        assert [one.name for one in (await radha.members("lobby")).members] == ["Radha"]
        await rita.join("lobby")
        await radha.ban("lobby", "Rita")
        assert (await next_of(rita, hubbub.Parted)).why == "banned"
        with pytest.raises(hubbub.Refused) as caught:
            await rita.join("lobby")
        assert caught.value.code == hubbub.Code.BANNED


async def test_an_account_whose_session_is_over_logs_in_again_and_has_everything(
    make_cluster: ClusterFactory,
) -> None:
    """After `expired` by the device: nothing missed, nothing double, and the same person."""
    cluster = await make_cluster(gateways=2, left_after=0.5, resume_within=1.0)
    device = await register(cluster, "Radha")
    async with (
        hubbub.connect(cluster.server(0), device=device) as radha,
        hubbub.connect(cluster.server(1), name="Rita") as rita,
    ):
        await radha.join("lobby")
        await rita.join("lobby")
        sender = radha.sender
        await rita.say("lobby", "before")
        await next_of(radha, Message, text="before")
        cluster.gateways[0].kill()
        await rita.say("lobby", "between")

        async def is_over() -> bool:
            return (await rita.status()).sessions == 1

        await eventually(is_over, 10)
        await cluster.restart(cluster.gateways[0])
        await radha.say("lobby", "I am back")
        texts = [(await next_of(radha, Message)).text for _ in range(2)]
        assert texts == ["between", "I am back"]
        assert (radha.sender, radha.account) == (sender, True)


async def test_another_password_ends_the_other_devices(shared: Cluster, room: str) -> None:
    """“a password change ends every live session on every gateway within 2 s”"""
    device = await register(shared, room)
    async with (
        hubbub.connect(shared.server(0), device=device) as desk,
        hubbub.connect(shared.server(1), name=room, password=PASSWORD) as phone,
    ):
        await desk.passwd(PASSWORD, PASSWORD + "!")
        async with asyncio.timeout(slack(5)):
            with pytest.raises(hubbub.Refused) as caught:
                await next_of(phone, Message)
        assert caught.value.code == hubbub.Code.BAD_LOGIN
        assert desk.device != device
        await desk.ping()
        again = desk.device
        await desk.unregister(PASSWORD + "!")
        assert [event async for event in desk if isinstance(event, Message)] == []
    with pytest.raises(hubbub.Refused):
        async with hubbub.connect(shared.server(2), device=again):
            pass


async def test_a_long_file_is_said_in_its_order_whatever_the_limit(
    make_cluster: ClusterFactory,
) -> None:
    """“piping a long file works”: refusals for the number of lines are waited for."""
    cluster = await make_cluster(say_rate=40.0, say_burst=50)
    async with hubbub.connect(cluster.server(), name="Radha") as radha:
        await radha.join("lobby")
        answers = [radha.say_nowait("lobby", str(number)) for number in range(120)]
        numbers = [(await answer).seq for answer in answers]
        assert numbers == sorted(numbers)
        texts = [(await next_of(radha, Message)).text for _ in range(120)]
        assert texts == [str(number) for number in range(120)]
