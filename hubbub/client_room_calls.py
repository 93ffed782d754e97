"""The calls by which one enters and leaves rooms and keeps order in them."""

from __future__ import annotations

import os

from hubbub.client_calls import Calls
from hubbub.client_room import RoomView
from hubbub.frames import (
    Ban,
    Invite,
    Join,
    Kick,
    Leave,
    Members,
    Mute,
    Ok,
    Reply,
    Restriction,
    RestrictionList,
    Restrictions,
    Role,
    Roster,
    States,
    Topic,
    Unban,
    Unread,
    Visibility,
)
from hubbub.names import name_key


class RoomCalls(Calls):
    """In and out of rooms, and order in them."""

    @property
    def joined(self) -> list[str]:
        """The rooms one is in, in the order of joining."""
        rooms = self._session.rooms
        return [rooms.directs.shown(room.name) for room in rooms.all()]

    def state(self, room: str) -> RoomView | None:
        """What is known of a room one is in; None when one is not."""
        rooms = self._session.rooms
        found = rooms.find(room)
        return None if found is None else found.view(rooms.directs.shown(found.name))

    async def join(
        self, room: str, *, since: int | None = None, epoch: int = 0, private: bool = False
    ) -> Roster:
        """Enter a room and be told who is in it; from now on its events arrive.

        With `since` those above that number arrive first. In a room one has joined before, `since`
        is not looked at. `private`: if the room is made by this, by invitation only.

        Raises:
            EpochChanged: `since` belongs to another numbering, or is above the head.
        """
        session = self._session
        rooms = session.rooms
        wire = self._wire(room)
        known = rooms.find(room)
        if known is not None and (known.joined or since is None):
            return await self.members(room)
        wanted = 0 if since is None else epoch or rooms.epoch
        ident = os.urandom(16)
        asked = session.greetings

        def taken(reply: Reply) -> None:
            if isinstance(reply, Roster):
                rooms.joined(reply, since, repeated=session.greetings != asked)

        return await self._ask(
            lambda ref: Join(ref, ident, wire, since, wanted, private), Roster, taken
        )

    async def members(self, room: str, offline: bool = False) -> Roster:
        """Who is in a room; with `offline` accounts that are in it but not here, too."""
        wire = self._wire(room)
        rooms = self._session.rooms

        def taken(reply: Reply) -> None:
            if isinstance(reply, Roster):
                rooms.take_members(reply)

        return await self._ask(lambda ref: Members(ref, wire, offline), Roster, taken)

    async def leave(self, room: str) -> None:
        """Leave a room; being in none of that name is fine."""
        rooms = self._session.rooms
        ident = os.urandom(16)
        wire = self._wire(room)
        known = rooms.find(wire)
        comings = rooms.comings
        settled = False

        def taken(reply: Reply) -> None:
            nonlocal settled
            if isinstance(reply, Ok) and rooms.comings == comings:
                rooms.remove(wire)
                settled = True

        if known is not None:
            known.leaving = True
        try:
            await self._ask(lambda ref: Leave(ref, ident, wire), Ok, taken)
            # The `ok` does not say whether what the server told of rooms meanwhile came first.
            while not settled and rooms.find(wire) is not None:
                settled = await self._is_settled(wire)
        finally:
            if known is not None:
                known.leaving = False

    async def _is_settled(self, wire: str) -> bool:
        """Ask whether one is in a room, and be so; False when it may have changed meanwhile."""
        rooms = self._session.rooms
        comings = rooms.comings
        settled = False

        def taken(reply: Reply) -> None:
            nonlocal settled
            room = rooms.find(wire)
            if isinstance(reply, States) and rooms.comings == comings and room is not None:
                settled = True
                if all(name_key(state.room) != room.key for state in reply.rooms):
                    rooms.remove(wire)

        await self._ask(Unread, States, taken)
        return settled

    # The `seq` of each answer below is that of the event; 0: it was so already.

    async def topic(self, room: str, text: str) -> Ok:
        """Give a room another title."""
        return await self._change(lambda ref, id: Topic(ref, id, self._wire(room), text))

    async def visibility(self, room: str, private: bool) -> Ok:
        """Make a room private, or public."""
        return await self._change(lambda ref, id: Visibility(ref, id, self._wire(room), private))

    async def invite(self, room: str, name: str) -> Ok:
        """Ask somebody in; it opens a private room to them."""
        return await self._change(lambda ref, id: Invite(ref, id, self._wire(room), name))

    async def kick(self, room: str, name: str, text: str = "") -> Ok:
        """Put somebody out of a room. `text` says why."""
        return await self._change(lambda ref, id: Kick(ref, id, self._wire(room), name, text))

    async def ban(self, room: str, name: str, text: str = "", seconds: int = 0) -> Ok:
        """Put somebody out and keep them out: so many seconds, or with 0 until it is taken back."""
        wire = self._wire(room)
        return await self._change(lambda ref, id: Ban(ref, id, wire, name, text, seconds))

    async def unban(self, room: str, name: str) -> Ok:
        """Let somebody in again."""
        return await self._change(lambda ref, id: Unban(ref, id, self._wire(room), name))

    async def mute(
        self, room: str, name: str, text: str = "", seconds: int = 0, on: bool = True
    ) -> Ok:
        """Let somebody read but not write, or with `on=False` write again."""
        wire = self._wire(room)
        return await self._change(lambda ref, id: Mute(ref, id, wire, name, text, seconds, on))

    async def role(self, room: str, name: str, role: str) -> Ok:
        """Make a member of a room its `owner`, an `operator`, or a plain `member`."""
        return await self._change(lambda ref, id: Role(ref, id, self._wire(room), name, role))

    async def restrictions(self, room: str) -> list[Restriction]:
        """Who is banned from a room or muted in it."""
        found = await self._ask(lambda ref: Restrictions(ref, self._wire(room)), RestrictionList)
        return found.restrictions
