"""One account on many devices and gateways, told alike; conversations of two; being shut out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TypeVar

import pytest

import hubbub
from hubbub.client import Client
from hubbub.client_events import ClientEvent
from hubbub.errors import Code, Refused
from hubbub.frames import Event, Marked, Message, Parted
from tests.fixtures import ClusterFactory
from tests.native import AnsweredError, RawClient
from tests.support import Cluster, eventually, slack

T = TypeVar("T", bound=ClientEvent)
PASSWORD = "correct horse battery"
SHUT_OUT_WITHIN = 2.0  # seconds: “ends every live session on every gateway within 2 s”


async def until(
    client: Client, kind: type[T], matches: Callable[[T], bool] = lambda _: True, within: float = 10
) -> T:
    """The next event of that kind that matches; others before it are dropped."""
    async with asyncio.timeout(slack(within)):
        async for event in client:
            if isinstance(event, kind) and matches(event):
                return event
    raise AssertionError("the client ended")


async def registered(cluster: Cluster, *names: str) -> None:
    """Make accounts of these names."""
    for name in names:
        async with hubbub.connect(cluster.server(), name=name, visible=False) as client:
            await client.register(PASSWORD)


def logged_in(cluster: Cluster, name: str, gateway: int = 0) -> Client:
    """A device of an account at one gateway."""
    return hubbub.connect(cluster.server(gateway), name=name, password=PASSWORD)


def operator_key(cluster: Cluster) -> str:
    """What makes operators."""
    return (cluster.data / "operator.key").read_text().strip()


async def test_two_devices_on_two_gateways_have_the_same_rooms_marks_and_edits(
    cluster: Cluster,
) -> None:
    """“same rooms, same unread, read marks monotonic, an edit on one seen on the other”"""
    await registered(cluster, "alice", "bob")
    async with (
        logged_in(cluster, "alice", 0) as desk,
        logged_in(cluster, "alice", 1) as phone,
        logged_in(cluster, "bob", 1) as bob,
    ):
        await bob.join("lobby")
        await desk.join("lobby")
        await until(phone, hubbub.Joined, lambda joined: joined.room == "lobby")
        assert phone.joined == desk.joined == ["lobby"]
        numbers = [(await bob.say("lobby", f"line {n} for @alice")).seq for n in range(5)]
        for device in (desk, phone):
            await until(device, Message, lambda message: message.seq == numbers[-1])
        for device in (desk, phone):
            (state,) = await device.unread()
            assert (state.count - state.marked, state.mentions) == (5, 5)

        await phone.read("lobby", numbers[3])
        await until(desk, Marked, lambda marked: marked.mark == numbers[3])
        await desk.read("lobby", numbers[0])  # an older one moves nothing back
        for device in (desk, phone):
            (state,) = await device.unread()
            assert (state.mark, state.count - state.marked) == (numbers[3], 1)
            assert state.mentions == 1

        own = (await desk.say("lobby", "at 5pn")).seq
        await phone.edit("lobby", own, "at 5pm")
        for device in (desk, phone, bob):
            edited = await until(device, Event, lambda event: event.kind == "edited")
            assert (edited.of, edited.text) == (own, "at 5pm")
        (entry,) = (await bob.history("lobby", after=own - 1, limit=1)).events
        assert isinstance(entry, Message)
        assert entry.text == "at 5pm"
        (state,) = await phone.unread()
        assert state.count == state.marked  # saying something has read everything before it

        await phone.leave("lobby")
        await until(desk, Parted, lambda parted: parted.room == "lobby")
        assert desk.joined == []


async def test_a_private_message_to_somebody_offline_is_there_unread_when_they_come(
    cluster: Cluster,
) -> None:
    """“A private message to an offline person is there when they come, unread.”"""
    await registered(cluster, "alice", "bob")
    async with logged_in(cluster, "alice") as alice:
        assert (await alice.say("@bob", "see you at nine")).seq == 1
        async with logged_in(cluster, "bob", 1) as bob:
            (state,) = await bob.unread()
            assert (state.room, state.count - state.marked) == ("@alice", 1)
            (entry,) = (await bob.history("@alice")).events
            assert isinstance(entry, Message)
            assert (entry.room, entry.text) == ("@alice", "see you at nine")
            await bob.say("@alice", "fine")
            back = await until(alice, Message, lambda message: message.text == "fine")
            assert (back.room, back.name) == ("@bob", "bob")

            await bob.block("alice")
            with pytest.raises(Refused) as refused:
                await alice.say("@bob", "still there?")
            assert (refused.value.code, str(refused.value)) == (
                Code.NOT_ALLOWED,
                "you cannot write to bob",
            )
            await bob.block("alice", on=False)
            await alice.say("@bob", "again")
            await until(bob, Message, lambda message: message.text == "again")


async def ended(client: Client) -> Refused:
    """Read until the client is told that it is over; what it was told."""
    async with asyncio.timeout(slack(SHUT_OUT_WITHIN)):
        try:
            async for _ in client:
                pass
        except Refused as refused:
            return refused
    raise AssertionError("the client ended without being told why")


async def test_a_suspension_ends_every_session_on_every_gateway(
    make_cluster: ClusterFactory,
) -> None:
    """“A password change or suspension ends every live session on every gateway within 2 s.”"""
    cluster = await make_cluster(gateways=3)
    await registered(cluster, "alice", "root")
    async with logged_in(cluster, "root") as root:
        await root.promote("root", key=operator_key(cluster))
        devices = [await logged_in(cluster, "alice", n).__aenter__() for n in range(3)]
        await root.suspend("alice", "spam")
        told = await asyncio.gather(*(ended(device) for device in devices))
        assert {error.code for error in told} == {Code.SUSPENDED}
        for device in devices:
            await device.__aexit__(None, None, None)
        with pytest.raises(Refused, match="suspended: spam"):
            await logged_in(cluster, "alice").__aenter__()
        entries = await root.audit()
        assert [(entry.action, entry.target) for entry in entries] == [
            ("suspend", "alice"),
            ("promote", "root"),
        ]
        await root.suspend("alice", on=False)
        async with logged_in(cluster, "alice", 2) as alice:
            assert alice.account


async def test_a_changed_password_ends_the_other_sessions_and_logins(
    make_cluster: ClusterFactory,
) -> None:
    """“A password change or suspension ends every live session on every gateway within 2 s.”"""
    cluster = await make_cluster(gateways=2)
    await registered(cluster, "alice")
    async with logged_in(cluster, "alice", 0) as here:
        there = await logged_in(cluster, "alice", 1).__aenter__()
        stolen = there.device
        await here.passwd(PASSWORD, "another good one")
        assert (await ended(there)).code in (Code.EXPIRED, Code.BAD_LOGIN)
        await there.__aexit__(None, None, None)
        await here.ping()  # goes on
        stale = hubbub.connect(cluster.server(), device=stolen)
        for client in (stale, logged_in(cluster, "alice")):
            with pytest.raises(Refused) as refused:
                await client.__aenter__()
            assert refused.value.code == Code.BAD_LOGIN
        async with hubbub.connect(cluster.server(1), device=here.device) as again:
            assert again.name == "alice"


async def test_accounts_roles_marks_and_private_rooms_survive_the_death_of_everything(
    make_cluster: ClusterFactory,
) -> None:
    """“Accounts, roles and marks survive a restart.”"""
    cluster = await make_cluster(gateways=1, workers=2)
    await registered(cluster, "alice", "bob")
    async with logged_in(cluster, "alice") as alice, logged_in(cluster, "bob") as bob:
        await alice.join("den", private=True)
        await alice.topic("den", "the lion's")
        await alice.invite("den", "bob")
        await bob.join("den")
        await alice.role("den", "bob", "operator")
        for n in range(3):
            await alice.say("den", f"line {n}")
        await bob.read("den", (await bob.unread())[0].head - 1)
        before = (await bob.unread())[0]
    for process in cluster.processes:
        process.kill()
    await cluster.start()
    async with logged_in(cluster, "bob") as bob, logged_in(cluster, "alice") as alice:
        after = (await bob.unread())[0]
        assert (after.room, after.title, after.private) == ("den", "the lion's", True)
        assert (after.role, after.mark, after.count - after.marked) == (
            "operator",
            before.mark,
            before.count - before.marked,
        )
        assert (await alice.unread())[0].role == "owner"
        async with hubbub.connect(cluster.server()) as guest:
            with pytest.raises(Refused) as refused:
                await guest.join("den")
            assert refused.value.code == Code.NOT_ALLOWED
            assert "den" not in [room.room for room in await guest.rooms()]


async def test_who_is_kicked_sees_the_kick_and_nothing_that_follows(cluster: Cluster) -> None:
    """“Kinds that change the fan-out itself are applied before the next event is delivered.”"""
    await registered(cluster, "alice")
    async with (
        logged_in(cluster, "alice") as alice,
        hubbub.connect(cluster.server(1), name="mallory") as mallory,
    ):
        await alice.join("den")
        await mallory.join("den")
        # All in one go, so that the kick stands in the middle of a turn.
        calls = [alice.say("den", "before"), alice.kick("den", "mallory", "spam")]
        await asyncio.gather(*calls, *(alice.say("den", f"after {n}") for n in range(20)))
        shown: list[ClientEvent] = []
        async with asyncio.timeout(slack(10)):
            async for event in mallory:
                shown.append(event)
                if isinstance(event, Parted):
                    break
        await mallory.ping()
        while (late := mallory.event_nowait()) is not None:
            shown.append(late)
        assert [event.text for event in shown if isinstance(event, Message)] == ["before"]
        (kick,) = [event for event in shown if isinstance(event, Event) and event.kind == "kicked"]
        assert (kick.to, kick.text) == ("mallory", "spam")
        assert mallory.joined == []
        with pytest.raises(Refused) as refused:
            await mallory.say("den", "let me in")
        assert refused.value.code == Code.NOT_MEMBER


async def test_what_is_said_is_found_by_who_may_read_it_alone(cluster: Cluster) -> None:
    """“Full-text search over what one may see.”"""
    await registered(cluster, "alice", "bob")
    async with logged_in(cluster, "alice") as alice, logged_in(cluster, "bob", 1) as bob:
        await alice.join("lobby")
        await alice.join("vault", private=True)
        word = f"xylophone{os.urandom(4).hex()}"
        await alice.say("lobby", f"a public {word}")
        await alice.say("vault", f"a secret {word}")
        await alice.say("@bob", f"a whispered {word}")

        async def found(client: Client, query: str) -> list[str]:
            return sorted(hit.room for hit in (await client.search(query)).hits)

        async def all_of_alices() -> bool:
            return len(await found(alice, word)) == 3

        await eventually(all_of_alices, what="the index has caught up")
        assert await found(alice, word) == ["@bob", "lobby", "vault"]
        assert await found(bob, word) == ["@alice", "lobby"]
        assert await found(bob, f"{word} from:alice in:lobby") == ["lobby"]
        with pytest.raises(Refused):
            await bob.search(f"in:vault {word}")
        async with hubbub.connect(cluster.server()) as guest:
            assert await found(guest, word) == ["lobby"]


async def test_who_was_away_while_a_room_was_closed_is_told_which_name_is_another_rooms(
    cluster: Cluster,
) -> None:
    await registered(cluster, "alice", "root")
    async with logged_in(cluster, "root", 1) as root, logged_in(cluster, "alice", 1) as desk:
        phone = await RawClient.connect(cluster.address(0))
        phone.welcome = await phone.ask("login", id=os.urandom(16), name="alice", password=PASSWORD)
        for room in ("lobby", "den"):
            await phone.join(room)
            await phone.say(room, "hello")
        phone.abort()
        await root.promote("root", key=operator_key(cluster))
        await root.close_room("den")
        await until(desk, Parted)
        await desk.join("den")
        with pytest.raises(AnsweredError) as caught:
            await phone.resume(cluster.address(0), lobby=2, den=2)
        told = caught.value.frame
        assert (told["code"], told["room"]) == ("epoch_changed", "den")
        resumed = await phone.resume(cluster.address(0), lobby=2)
        assert {each["room"] for each in resumed.welcome["rooms"]} == {"lobby", "den"}
        await resumed.close()
