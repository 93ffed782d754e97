"""Accounts with several devices each, who do at random what accounts can do, and note everything.

`Town` is the people, `tests/accounts_exact.py` the verdict.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

import hubbub
from hubbub.client import Client
from hubbub.errors import Code, OutcomeUnknown, Refused, Unreachable
from hubbub.frames import Event, Message
from tests.accounts_ears import Ear
from tests.accounts_exact import Journal, Lives, Said, faults_of_device, faults_of_texts, fold
from tests.support import Cluster, eventually, slack

PASSWORD = "correct horse battery"
PUBLIC, PRIVATE = ["hall"], ["vault", "cellar"]
PAUSE = 0.15  # seconds at most between two acts of one device

# What anybody may be answered who does things at random. Not among them: that a server broke down.
_USUAL = frozenset(
    {
        Code.NO_SUCH_ROOM,
        Code.NO_SUCH_PERSON,
        Code.NO_SUCH_MESSAGE,
        Code.NOT_MEMBER,
        Code.NOT_ALLOWED,
        Code.BANNED,
    }
)


class Device:
    """One client of an account, and what it was shown."""

    def __init__(self, person: Person, client: Client, gateway: int) -> None:
        self.person = person
        self.client = client
        self.gateway = gateway
        self.journal = Journal()
        self.over: Refused | None = None
        self.over_at = 0.0
        for room in client.joined:  # where the greeting has put it
            view = client.state(room)
            if view is not None:
                self.journal.heads.add((room, view.head))
        self.reader: asyncio.Task[None] = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for event in self.client:
                self.journal.take(event)
        except Refused as error:
            self.over, self.over_at = error, time.monotonic()

    async def join(self, room: str, *, private: bool = False) -> None:
        """Enter a room; what follows is above the head that the answer names."""
        head = None
        self.journal.asks(room)
        try:
            head = (await self.client.join(room, private=private)).head
        finally:
            self.journal.answered(room, head)

    async def leave(self, room: str) -> None:
        """Leave a room."""
        self.journal.asks(room)
        try:
            await self.client.leave(room)
        finally:
            self.journal.answered(room, None)

    async def close(self) -> None:
        """End it, if it has not ended."""
        await self.client.__aexit__(None, None, None)
        await self.reader


class Person:
    """One account, its devices, and what it has said."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.sender = 0
        self.devices: list[Device] = []
        self.former: list[Device] = []  # that were shut out
        self.said: list[Said] = []
        self.asked: set[str] = set()  # all that it ever tried to say

    def device(self) -> str:
        """The token of one of its devices."""
        return self.devices[0].client.device if self.devices else "none"


class Town:
    """A keeper, who has the private rooms and operates the cluster, and the others."""

    def __init__(self, cluster: Cluster, seed: int, people: int = 3, devices: int = 3) -> None:
        self.cluster = cluster
        self.random = Random(seed)
        self.keeper = Person("keeper")
        self.people = [Person(f"p{number}") for number in range(people)]
        self.everybody = [self.keeper, *self.people]
        self.faults: list[str] = []
        self.acts = 0
        self.ears: list[Ear] = []
        self._devices = devices
        self._busy: list[asyncio.Task[None]] = []
        self._listening: list[asyncio.Task[None]] = []
        self._quiet = False
        self._texts = 0

    async def __aenter__(self) -> Town:
        for number, person in enumerate(self.everybody):
            for device in range(1 if person is self.keeper else self._devices):
                await self._come(person, (number + device) % len(self.cluster.gateways))
        addresses = [self.cluster.address(n) for n in range(len(self.cluster.gateways))]
        for person in self.people:
            seed, rooms = self.random.randrange(2**32), [*PUBLIC, *PRIVATE]
            ear = Ear(person.name, addresses, rooms, person.device, seed)
            self.ears.append(ear)
            self._listening.append(asyncio.create_task(ear.listen()))
        (keeper,) = self.keeper.devices
        key = (self.cluster.data / "operator.key").read_text().strip()
        await keeper.client.promote("keeper", key=key)
        for room in [*PUBLIC, *PRIVATE]:
            await keeper.join(room, private=room in PRIVATE)
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in [*self._busy, *self._listening]:
            task.cancel()
        await asyncio.gather(*self._busy, *self._listening, return_exceptions=True)
        for ear in self.ears:
            ear.abort()
        devices = [each for person in self.everybody for each in person.devices + person.former]
        await asyncio.gather(*(device.close() for device in devices), return_exceptions=True)

    async def _come(self, person: Person, gateway: int) -> None:
        """Another device of an account, at this gateway first."""
        count = len(self.cluster.gateways)
        servers = [self.cluster.server((gateway + n) % count) for n in range(count)]
        client = hubbub.connect(
            *servers,
            name=person.name,
            password=PASSWORD if person.sender else None,
            connect_within=slack(20),
        )
        await client.__aenter__()
        if not person.sender:
            await client.register(PASSWORD)
        person.sender = client.sender
        person.devices.append(Device(person, client, gateway))

    # --- what they do ---------------------------------------------------------------------------

    def begin(self) -> None:
        """Everybody does things from now on, until `finish`."""
        for person in self.everybody:
            for device in person.devices:
                self._busy.append(asyncio.create_task(self._live(device)))

    async def goes_on(self, acts: int) -> None:
        """Wait until so many more things were done."""
        goal = self.acts + acts
        await eventually(lambda: self.acts >= goal, 20, what=f"{acts} more things are done")

    async def _live(self, device: Device) -> None:
        person = device.person
        while not self._quiet and device.over is None:
            act = self._choose(device)
            try:
                await act()
            except (OutcomeUnknown, Unreachable):
                pass  # so it may have been done
            except Refused as refused:
                usual = refused.code in _USUAL
                if not usual and not (refused.code == Code.SUSPENDED and device in person.former):
                    self.faults.append(f"{person.name} was refused: {refused.code} {refused}")
            self.acts += 1
            # Not a time to wait for anything: how fast they are.
            await asyncio.wait([device.reader], timeout=self.random.random() * PAUSE)

    def _choose(self, device: Device) -> Callable[[], Awaitable[object]]:
        random, client, person = self.random, device.client, device.person
        room = random.choice([*PUBLIC, *PRIVATE])
        if person is self.keeper:
            other, closed = random.choice(self.people).name, random.choice(PRIVATE)
            return random.choice(
                [
                    lambda: self._say(device, room),
                    lambda: client.invite(closed, other),
                    lambda: client.invite(closed, other),
                    lambda: client.kick(room, other, "a kick"),
                    lambda: client.ban(room, other, "a ban"),
                    lambda: client.unban(room, other),
                    lambda: client.unban(closed, other),
                ]
            )
        others = [f"@{each.name}" for each in self.people if each is not person]
        talk = random.choice([room, *others])
        mine = [said for said in person.said if not said.busy]
        if mine and random.random() < 0.25:
            said = random.choice(mine[-20:])
            return lambda: self._change(device, said, delete=random.random() < 0.2)
        head = max((seq for at, seq in device.journal.shown() if at == talk), default=0)
        return random.choice(
            [
                lambda: self._say(device, talk),
                lambda: self._say(device, talk),
                lambda: self._say(device, talk),
                lambda: device.join(room),
                lambda: device.join(room),
                lambda: device.leave(room),
                lambda: client.read(talk),
                lambda: client.read(talk, random.randint(0, head)),
                lambda: client.typing(room),
            ]
        )

    def _text(self) -> str:
        self._texts += 1
        return f"text {self._texts}"

    async def _say(self, device: Device, room: str) -> None:
        text = self._text()
        device.person.asked.add(text)
        answer = await device.client.say(room, text)
        device.person.said.append(Said(room, answer.seq, text))

    async def _change(self, device: Device, said: Said, *, delete: bool) -> None:
        said.busy = True
        text = "" if delete else self._text()
        device.person.asked.add(text)
        try:
            if delete:
                answer = await device.client.delete(said.room, said.seq)
            else:
                answer = await device.client.edit(said.room, said.seq, text)
        except (OutcomeUnknown, Unreachable):
            said.maybe.add(text)
            raise
        else:
            said.changes[answer.seq] = text
        finally:
            said.busy = False

    async def shut_out(self, person: Person, frozen: int | None = None) -> None:
        """Suspend an account, while one gateway stands still; let it in again, anew.

        “A suspension ends every live session on every gateway within 2 s”; and one that could not
        know of it ends its own as soon as it can.
        """
        gateway = None if frozen is None else self.cluster.gateways[frozen]
        devices, person.devices = person.devices, []
        person.former += devices
        if gateway is not None:
            gateway.freeze()
        await self.keeper.devices[0].client.suspend(person.name, "spam")
        told = time.monotonic()
        elsewhere = [
            each
            for each in devices
            if gateway is None or each.client.gateway.partition(".")[0] != gateway.name
        ]
        await self._are_out(elsewhere, told)
        if gateway is not None:
            gateway.thaw()
        await self._are_out(devices, time.monotonic())
        await self.keeper.devices[0].client.suspend(person.name, on=False)
        for device in devices:
            await self._come(person, device.gateway)
        self._busy += [asyncio.create_task(self._live(each)) for each in person.devices]

    async def _are_out(self, devices: list[Device], since: float) -> None:
        try:
            await eventually(lambda: all(each.over for each in devices), 2.0)
        except AssertionError:
            late = [f"{d.person.name} at {d.client.gateway}" for d in devices if not d.over]
            self.faults.append(f"still in 2 s after the suspension: {late}")
            await eventually(lambda: all(each.over for each in devices), 20, what=str(late))
        for device in devices:
            if device.over is not None and device.over.code != Code.SUSPENDED:
                self.faults.append(f"{device.person.name} was told {device.over} of a suspension")

    # --- the end --------------------------------------------------------------------------------

    async def finish(self) -> None:
        """Nobody does anything more; returns when everybody has been shown everything."""
        self._quiet = True
        async with asyncio.timeout(slack(60)):
            await asyncio.gather(*self._busy)
        self._busy.clear()
        for ear in self.ears:
            ear.stay()
        (keeper,) = self.keeper.devices
        last = [keeper.client.say(room, "the end") for room in [*PUBLIC, *PRIVATE]]
        for one, person in enumerate(self.people):
            for other in self.people[one + 1 :]:
                last += [person.devices[0].client.say(f"@{other.name}", "the end")]
        async with asyncio.timeout(slack(60)):
            await asyncio.gather(*last)
        devices = [each for person in self.everybody for each in person.devices]
        for device in devices:
            name = device.person.name
            await eventually(partial(self._agrees, device), 20, what=f"{name} is told all")
        for ear in self.ears:
            await ear.settled()

    async def _agrees(self, device: Device) -> bool:
        """Whether a device is where the server has it, and was shown all of it."""
        client = device.client
        if device.over is not None:
            raise RuntimeError(f"{device.person.name} has ended: {device.over}")
        states = await client.unread()
        there, here = {state.room for state in states}, set(client.joined)
        assert there == here, f"{device.person.name} is in {here}, the server has {there}"
        newest = dict(device.journal.shown())
        for state in states:
            at = newest.get(state.room, state.head if state.room not in newest else 0)
            assert at == state.head, f"{device.person.name} at {at} of {state}"
            view = client.state(state.room)
            assert view is not None
            own = (view.mark, view.unread, view.mentions)
            true = (state.mark, state.count - state.marked, state.mentions)
            assert own == true, f"{device.person.name} has {own} in {state.room}, not {true}"
        return True

    async def log(self, client: Client, room: str) -> list[Message | Event]:
        """A whole room."""
        found: list[Message | Event] = []
        more = True
        while more:
            page = await client.history(room, after=len(found), limit=500)
            found += page.events
            more = page.more
        return found

    async def verdict(self) -> list[str]:
        """Every way in which it was not exact, after `finish`."""
        logs: dict[str, dict[str, list[Message | Event]]] = {p.name: {} for p in self.everybody}
        for room in [*PUBLIC, *PRIVATE]:
            entries = await self.log(self.keeper.devices[0].client, room)
            for person in self.everybody:
                logs[person.name][room] = entries
        for person in self.people:
            for other in self.people:
                if other is not person:
                    room = f"@{other.name}"
                    logs[person.name][room] = await self.log(person.devices[0].client, room)
        found = list(self.faults)
        for person in self.everybody:
            lives = {
                room: fold(entries, person.sender)
                for room, entries in logs[person.name].items()
                if not room.startswith("@")
            }
            found += _faults_of_rooms(person, lives)
            found += faults_of_texts(person.name, person.sender, person.said, logs[person.name])
            for number, device in enumerate([*person.devices, *person.former]):
                name = f"{person.name} device {number}"
                found += faults_of_device(name, device.journal, logs[person.name], lives, PRIVATE)
            found += [
                fault
                for ear in self.ears
                if ear.name == person.name
                for fault in ear.faults(lives, PRIVATE)
            ]
        asked = {text for person in self.everybody for text in person.asked} | {"the end", ""}
        for room, entries in [(r, e) for per in logs.values() for r, e in per.items()]:
            if [entry.seq for entry in entries] != list(range(1, len(entries) + 1)):
                found.append(f"the log of {room} has holes")
            found += [
                f"phantom in {room}: {entry.text!r}"
                for entry in entries
                if isinstance(entry, Message) and entry.text not in asked
            ]
            texts = [e.text for e in entries if isinstance(e, Message) and e.text]
            if len(texts) != len(set(texts)):
                found.append(f"a text stands twice in {room}")
        return found


def _faults_of_rooms(person: Person, lives: dict[str, Lives]) -> list[str]:
    """Where the log has somebody elsewhere than their devices are."""
    inside = {room for room, life in lives.items() if life.inside}
    return [
        f"{person.name} is in {device.client.joined}, by the log in {sorted(inside)}"
        for device in person.devices
        if {room for room in device.client.joined if not room.startswith("@")} != inside
    ]
