"""The end of a chat: a last line in each room, who was shown it, and who believes what."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

from hubbub.client_room import RoomView
from hubbub.errors import HubbubError
from tests.faults.devices import Device
from tests.faults.hands import Hand
from tests.faults.history import Standing, Told
from tests.faults.notes import Notes
from tests.faults.people import PIT, PRIVATE, PUBLIC, People, Wish
from tests.support import eventually, slack

LAST_WITHIN = (
    65.0  # seconds for a last word, or for an answer: the client library gives up after 60
)
NOWHERE = (0, 0, 0, 0, 0)


async def say_last(notes: Notes, people: People, devices: Sequence[Device]) -> dict[str, int]:
    """Say one more line in every room that anybody spoke of; their numbers."""
    by_sender = {device.person.sender: device for device in devices}
    wishes: list[tuple[Device, Wish]] = []
    for room in sorted({*PUBLIC, PIT, *PRIVATE, *notes.rooms} - people.closed):
        if room.startswith("@"):
            pair = [int(number) for number in room[1:].split(":")]
            speaker = next((by_sender[each] for each in pair if each in by_sender), None)
        else:
            speaker = by_sender.get(people.keeper.sender)
        if speaker is not None:
            wishes.append((speaker, Wish("say", room, people.text())))
    done = await asyncio.gather(*(_say(people, speaker, wish) for speaker, wish in wishes))
    for (_, wish), seq in zip(wishes, done, strict=True):
        if not seq:
            notes.find(f"nothing can be said in {wish.room} after all")
    return {wish.room: seq for (_, wish), seq in zip(wishes, done, strict=True)}


async def _say(people: People, speaker: Device, wish: Wish) -> int:
    try:
        async with asyncio.timeout(slack(LAST_WITHIN)):
            while (seq := await speaker.do(wish)) is None:
                wish = wish._replace(text=people.text())
                await asyncio.sleep(0.5)  # between tries
            return seq
    except TimeoutError:
        return 0


async def be_here(devices: Sequence[Device]) -> None:
    """Nobody says any more that they are away."""

    async def say_so(device: Device) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(slack(LAST_WITHIN)):
                await device.do(Wish("away", text="here"))

    await asyncio.gather(*(say_so(device) for device in devices))


async def until_shown(
    devices: Sequence[Device], hands: Sequence[Hand], last: Mapping[str, int], within: float
) -> None:
    """Wait until everybody who is there was shown the last lines of their rooms, or not in time."""

    def all_were() -> bool:
        return all(
            device.at.get(room, 0) >= last.get(room, 0)
            for device in devices
            if device.over is None
            for room in device.inside
        ) and all(
            cursor >= last.get(room, 0)
            for hand in hands
            if hand.connection is not None
            for room, cursor in hand.connection.cursors.items()
        )

    try:
        await eventually(lambda: all_were() or None, within, what="all are shown the last lines")
    except AssertionError:
        return  # the checker names who was not


def believed(notes: Notes, device: Device, room: str, view: RoomView) -> None:
    """Note what a device believes of a room: its title, and of people their names and roles.

    In a conversation nobody has a role.
    """
    direct = view.peer is not None
    people = {(each.sender, each.name, "" if direct else each.role) for each in view.members}
    people.add((device.sender, device.client.name, "" if direct else view.role))
    if view.peer is not None:
        people.update((view.peer.sender, name, "") for name in (view.peer.name, room[1:]))
    notes.note(
        Told(
            notes.now(),
            device.name,
            device.canonical(room),
            view.title,
            view.private or direct,
            sorted(people),
        )
    )


async def standings(notes: Notes, devices: Sequence[Device]) -> None:
    """Note what each device believes of its rooms, and what the owner says."""

    async def ask(device: Device) -> None:
        try:
            async with asyncio.timeout(slack(LAST_WITHIN)):
                await _standing(notes, device)
        except (HubbubError, TimeoutError) as error:
            notes.find(f"{device.name} could not ask where its rooms stand: {error!r}")

    await asyncio.gather(*(ask(device) for device in devices if device.over is None))


async def _standing(notes: Notes, device: Device) -> None:
    client = device.client
    await client.ping()  # what was told before is here now
    device.settle()
    # Before it asks: the answer would make it right.
    mine: dict[str, tuple[int, int, int, int, int]] = {}
    for room in client.joined:
        view = client.state(room)
        if view is not None:
            standing = (1, view.head, view.mark, view.unread, view.mentions)
            mine[device.canonical(room)] = standing
            believed(notes, device, room, view)
    true: dict[str, tuple[int, int, int, int, int]] = {}
    for state in await client.unread():
        standing = (1, state.head, state.mark, state.count - state.marked, state.mentions)
        true[device.canonical(state.room)] = standing
    for room in sorted({*mine, *true}):
        notes.note(
            Standing(
                notes.now(),
                device.name,
                room,
                mine.get(room, NOWHERE),
                true.get(room, NOWHERE),
            )
        )
