"""What the people of a run do: chat, come and go, and repeat themselves on other devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from hubbub.names import direct_room
from tests.simulation import asking
from tests.simulation.asking import Ask
from tests.simulation.device import Device
from tests.simulation.disk import Member
from tests.simulation.shape import Shape
from tests.simulation.world import World

Restraint: TypeAlias = Callable[[bytes, str, str], Ask]

LOBBY, DEN = "lobby", "den"  # one for all, and one for who is invited by the first account
REACTIONS = ("👍", "🎉", "🤔")
UNDONE: dict[Restraint, Restraint] = {asking.ban: asking.unban, asking.mute: asking.unmute}


class Program:
    """Draws who does what.

    Args:
        members: the accounts, in the order of their numbers.
    """

    def __init__(
        self,
        world: World,
        shape: Shape,
        members: Sequence[Member],
        devices: Sequence[Device],
        new_id: Callable[[], bytes],
    ) -> None:
        self._world = world
        self._members = members
        self._devices = devices
        self._new_id = new_id
        self._texts = 0
        self._kept_out: list[tuple[Restraint, str]] = []  # who was banned or muted, and how
        self._of: dict[str, list[Device]] = {}
        for device in devices:
            self._of.setdefault(device.person, []).append(device)
        chance = world.random
        for device in devices:
            world.at(0.02 + 0.3 * chance.random(), device.connect)
        for person in self._of.values():
            person[0].ask(asking.join(new_id(), LOBBY))
        owner = self._of[members[0].name][0]
        owner.ask(asking.join(new_id(), DEN, private=True))
        for member in members[1:]:
            owner.ask(asking.invite(new_id(), DEN, member.name))
        for _ in range(shape.asks):
            world.at(0.3 + chance.random() * shape.seconds, self._act)
        for _ in range(shape.asks // 6):
            world.at(0.3 + chance.random() * shape.seconds, self._ping)

    def _ping(self) -> None:
        device = self._world.random.choice(self._devices)
        if device.is_ready:
            device.rooms.ping()

    def _act(self) -> None:
        chance = self._world.random
        device = chance.choice(self._devices)
        if device.is_over:
            return
        kind = chance.random()
        if kind < 0.66:
            self._talk(device)
        elif kind < 0.8:
            self._mend(device)
        elif kind < 0.98:
            self._move(device)
        elif len(self._of[device.person]) > 1:
            device.ask(asking.bye(self._new_id()))

    def _text(self, device: Device) -> str:
        self._texts += 1
        text = f"{device.name} {self._texts}"
        return text + " " + "." * self._world.random.choice((0, 0, 0, 40, 700))

    # --- talking --------------------------------------------------------------------------

    def _room(self, device: Device) -> str:
        chance = self._world.random
        if device.is_account and chance.random() < 0.2:
            others = [each for each in self._members if each.name != device.person]
            own = next(each for each in self._members if each.name == device.person)
            return direct_room(own.sender, chance.choice(others).sender)
        inside = list(device.rooms.inside)
        if not inside or chance.random() < 0.05:
            return chance.choice((LOBBY, DEN))  # perhaps it is not in it
        return chance.choice(inside)

    def _talk(self, device: Device) -> None:
        chance = self._world.random
        room = self._room(device)
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            self._ask(device, asking.say(self._new_id(), room, self._text(device)))

    def _ask(self, device: Device, ask: Ask) -> None:
        """Ask, and perhaps go on asking elsewhere before it is answered."""
        chance = self._world.random
        device.ask(ask)
        odd = chance.random()
        if odd < 0.08:
            # Another device of the person asks the same.
            other = chance.choice(self._of[device.person])
            if other is not device and not other.is_over:
                self._world.after(0.02 * chance.random(), other.ask, ask)
        elif odd < 0.14:
            # It goes elsewhere, and asks there again; the gateway may not know of that for long.
            silently = chance.random() < 0.5
            pause = 0.02 * chance.random()
            self._world.after(pause, lambda: device.cut("moves", silently=silently))

    # --- after the fact -------------------------------------------------------------------

    def _mend(self, device: Device) -> None:
        chance = self._world.random
        rooms = [(name, room) for name, room in device.rooms.inside.items() if room.mine]
        if not rooms:
            self._talk(device)
            return
        name, room = chance.choice(rooms)
        of = chance.choice(room.mine)
        kind = chance.random()
        if kind < 0.5:
            self._ask(device, asking.edit(self._new_id(), name, of, self._text(device)))
        elif kind < 0.7:
            self._ask(device, asking.delete(self._new_id(), name, of))
        else:
            of = chance.choice(room.others or room.mine)
            reaction = chance.choice(REACTIONS)
            self._ask(device, asking.react(self._new_id(), name, of, reaction))

    # --- coming and going -----------------------------------------------------------------

    def _move(self, device: Device) -> None:
        chance = self._world.random
        rooms = device.rooms
        kind = chance.random()
        owner = self._members[0].name
        others = [each.name for each in self._members if each.name != owner]
        if device.person == owner and kind < 0.6:
            self._keep_order(device, others)
        elif device.person == owner and kind < 0.7:
            device.ask(asking.topic(self._new_id(), DEN, self._text(device)))
        elif DEN not in rooms.inside and device.is_account:
            self._enter(device, asking.join(self._new_id(), DEN))
        elif LOBBY in rooms.inside and kind < 0.85:
            device.ask(asking.leave(self._new_id(), LOBBY))
        else:
            since = rooms.left.get(LOBBY) if LOBBY not in rooms.inside else None
            since_then = asking.join(self._new_id(), LOBBY, since=since, epoch=rooms.epoch)
            self._enter(device, since_then)

    def _keep_order(self, owner: Device, others: Sequence[str]) -> None:
        """Put somebody out, silence somebody, or let them in and speak again."""
        chance = self._world.random
        if self._kept_out and chance.random() < 0.6:
            make, name = self._kept_out.pop()
            owner.ask(UNDONE[make](self._new_id(), DEN, name))
            return
        make = chance.choice((asking.kick, asking.invite, asking.invite, *UNDONE))
        name = chance.choice(others)
        owner.ask(make(self._new_id(), DEN, name))
        if make in UNDONE:
            self._kept_out.append((make, name))

    def _enter(self, device: Device, join: Ask) -> None:
        """Come in; who is in a hurry speaks at the door, and again right after it."""
        chance = self._world.random
        hurry = chance.random() < 0.4
        for _ in range(chance.choice((0, 0, 0, 1, 2)) if join.room == LOBBY else 0):
            device.ask(asking.join(self._new_id(), join.room))
            device.ask(asking.leave(self._new_id(), join.room))
        if hurry:
            device.ask(asking.say(self._new_id(), join.room, self._text(device)))
        device.ask(join)
        if hurry:
            device.ask(asking.say(self._new_id(), join.room, self._text(device)))
