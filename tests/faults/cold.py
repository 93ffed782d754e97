"""What is true afterwards: rooms paged from number 1 by connections that were never there before,
and who is present as each gateway has it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from tests.faults.history import Kept, Room, Roster, Told
from tests.faults.membership import pair_of
from tests.faults.notes import Notes, brief
from tests.faults.people import HALL, PRIVATE, People, Person
from tests.native import AnsweredError, ClosedError, Fields, RawClient
from tests.support import Address, slack

PAGE = 500  # entries at once, which is the most
TRIES_FOR = 30.0  # seconds without any success, then it gives up
_TROUBLE = (AnsweredError, ClosedError, OSError, TimeoutError)
_NOT_THEIRS = ("not_member", "no_such_room", "not_allowed")


class Cold:
    """The cold reader.

    Args:
        addresses: of the gateways; it asks any that answers.
    """

    def __init__(self, notes: Notes, people: People, addresses: Sequence[Address]) -> None:
        self._notes = notes
        self._people = people
        self._addresses = list(addresses)
        self._since = 0.0  # when it last succeeded

    async def read(self, rooms: Iterable[str]) -> None:
        """Note every entry that is kept of them, and their members. What cannot be read is found.

        Nobody reads a conversation that neither of the two is in.
        """
        self._since = self._notes.now()
        for room in sorted(rooms):
            found: list[Kept | Room] = []
            for person in self._readers(room):
                found = await self._read_as(person, room)
                if found:
                    break
            else:
                self._notes.find(f"nobody could read {room} after all")
            for record in found:
                self._notes.note(record)

    def _readers(self, room: str) -> list[Person | None]:
        """Who may read it: None is a stranger."""
        if room in PRIVATE:
            return [self._people.keeper]
        if not room.startswith("@"):
            return [None, self._people.keeper]  # when it is private at the moment
        pair = {int(number) for number in room[1:].split(":")}
        return [person for person in self._people.everybody if person.sender in pair]

    async def _read_as(self, person: Person | None, room: str) -> list[Kept | Room]:
        number = 0
        while True:
            address = self._addresses[number % len(self._addresses)]
            number += 1
            try:
                client = await _come(address, person)
                try:
                    found = await self._page(client, room)
                finally:
                    client.abort()
            except _TROUBLE as error:
                if isinstance(error, AnsweredError) and error.code in _NOT_THEIRS:
                    return []
                if self._notes.now() > self._since + slack(TRIES_FOR):
                    return []
                await asyncio.sleep(0.2)  # whoever dials pauses
            else:
                self._since = self._notes.now()
                return found

    async def _page(self, client: RawClient, room: str) -> list[Kept | Room]:
        found: list[Kept | Room] = []
        after, more = 0, True
        while more:
            page = await client.ask("history", room=room, after=after, limit=PAGE)
            found += [self._kept(room, entry) for entry in page["events"]]
            after = max(after, *(entry["seq"] for entry in page["events"]), after)
            more = page.get("more", False)
        roster = await client.ask("members", room=room, offline=True)
        members = sorted(member["sender"] for member in roster.get("members", []))
        private = bool(roster.get("private")) or room.startswith("@")
        found.append(Room(self._notes.now(), room, roster["head"], private, members))
        return found

    def _kept(self, room: str, entry: Fields) -> Kept:
        return Kept(
            self._notes.now(),
            room,
            entry["seq"],
            "message" if entry["t"] == "message" else entry["kind"],
            entry["sender"],
            brief(entry.get("text", "")),
            entry.get("of", 0),
            entry.get("whom", 0),
            entry.get("count", 0),
            entry.get("edited", 0),
            entry.get("deleted", 0),
            entry.get("to", ""),
        )


async def read_told(
    notes: Notes, people: People, addresses: Sequence[Address], rooms: Iterable[str]
) -> None:
    """Note how each gateway tells of each room to somebody who was never there before."""
    everything = sorted(rooms)
    for number, address in enumerate(addresses, 1):
        for person in people.everybody:
            own = [room for room in everything if _teller(people, room) is person]
            await _read_told(notes, person, f"gateway-{number}", address, own)


def _teller(people: People, room: str) -> Person | None:
    """Who asks for it: the keeper, who may see everything of a room, or one of two."""
    if not room.startswith("@"):
        return people.keeper
    pair = pair_of(room)
    return next((person for person in people.everybody if person.sender in pair), None)


async def _read_told(
    notes: Notes, person: Person, gateway: str, address: Address, rooms: Sequence[str]
) -> None:
    deadline = notes.now() + slack(TRIES_FOR)
    left = list(rooms)
    while left:
        try:
            client = await _come(address, person)
            try:
                await client.ping()  # what was told to anybody before is here now
                while left:
                    notes.note(await _told(notes, client, gateway, left[-1]))
                    left.pop()
            finally:
                client.abort()
        except _TROUBLE as error:
            if isinstance(error, AnsweredError) and error.code in _NOT_THEIRS:
                left.pop()  # neither of the two need be in their conversation
            elif notes.now() >= deadline:
                notes.find(f"{gateway} did not tell how {left[-1]} is: {error!r}")
                return
            else:
                await asyncio.sleep(0.2)  # whoever dials pauses


async def _told(notes: Notes, client: RawClient, gateway: str, room: str) -> Told:
    direct = room.startswith("@")
    roster = await client.ask("members", room=room, offline=True)
    known = [*roster.get("members", []), *([roster["peer"]] if roster.get("peer") else [])]
    people = {
        (each["sender"], each["name"], "" if direct else each.get("role", "member"))
        for each in known
    }
    restrictions = None
    if not direct:
        answer = await client.ask("restrictions", room=room)
        restrictions = [f"{each['kind']} {each['name']}" for each in answer["restrictions"]]
    return Told(
        notes.now(),
        gateway,
        room,
        roster.get("title", ""),
        bool(roster.get("private")) or direct,
        sorted(people),
        restrictions,
        fresh=True,
    )


async def _come(address: Address, person: Person | None) -> RawClient:
    """A new connection, of somebody or of a stranger, whom nobody sees."""
    client = await RawClient.connect(address)
    try:
        if person is None:
            await client.hello(visible=False)
        else:
            await client.ask("login", id=os.urandom(16), token=person.token, visible=False)
    except BaseException:
        client.abort()
        raise
    return client


async def read_rosters(
    notes: Notes,
    addresses: Sequence[Address],
    present: Callable[[], Collection[str]],
    within: float,
) -> None:
    """Note who is in the hall, as each gateway has it, once that is right or has not become so.

    Args:
        present: "NAME STATE" of each who really is.
        within: seconds.
    """
    names = [f"gateway-{number}" for number in range(1, len(addresses) + 1)]
    looks: list[Awaitable[None]] = [
        _read_roster(notes, name, address, present, within)
        for name, address in zip(names, addresses, strict=True)
    ]
    await asyncio.gather(*looks)


async def _read_roster(
    notes: Notes,
    gateway: str,
    address: Address,
    present: Callable[[], Collection[str]],
    within: float,
) -> None:
    deadline = notes.now() + slack(within)
    shown: list[str] = []
    true: list[str] = []
    while True:
        try:
            client = await _come(address, None)
            try:
                await client.join(HALL)  # so that the gateway follows it
                while notes.now() < deadline:
                    roster = await client.ask("members", room=HALL)
                    shown, true = sorted(map(_shown, roster.get("members", []))), sorted(present())
                    if shown == true:
                        break
                    await asyncio.sleep(0.1)  # poll
            finally:
                client.abort()
            break
        except _TROUBLE as error:
            if notes.now() >= deadline:
                notes.find(f"{gateway} did not tell who is there: {error!r}")
                return
            await asyncio.sleep(0.2)  # whoever dials pauses
    notes.note(Roster(notes.now(), gateway, HALL, shown, true))


def _shown(member: Fields) -> str:
    return f"{member['name']} {member.get('state', 'here')}"
