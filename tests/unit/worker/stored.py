"""The rules over a real store, and all of memory that is to survive a restart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from hubbub.frames import Ping
from tests.unit.worker.world import OPERATOR_KEY, World
from worker.lookups import Input, Wanted, strangers, wanted
from worker.migrate import migrate
from worker.plan import Plan
from worker.records import EventRow
from worker.rules import Powers, decide
from worker.state import State
from worker.store import Store, Turn
from worker.tasks import Reading

NOTHING = Wanted([], [], [])


class Stored(World):
    """The rules over a real store.

    Args:
        directory: where the database is, or is made.
        template: a database of today's schema to begin with.
    """

    def __init__(self, directory: Path, template: bytes | None = None) -> None:
        super().__init__()
        self.directory = directory
        path = directory / "hubbub.db"
        if template is not None:
            path.write_bytes(template)
        elif not path.exists():
            migrate(path)
        self.store = Store(path, directory / "epoch")
        self.store.take("worker-1.0")
        self.state = self.store.load(self.now)
        self.turns: list[Turn] = []

    def plan(self, inputs: Sequence[Input]) -> Plan:
        """Decided and stored."""
        turn = self.store.turn(
            strangers(self.state, inputs),
            partial(wanted, self.state, inputs),
            lambda known: decide(
                self.state,
                inputs,
                known,
                self.settings,
                at=self.at,
                now=self.now,
                powers=Powers(OPERATOR_KEY),
            ),
        )
        self.turns.append(turn)
        return turn.plan

    def reloaded(self) -> Stored:
        """Another owner, of what is on the disk."""
        self.store.close()
        again = Stored(self.directory)
        again.at = self.at
        again.events, again.reactions = list(self.events), set(self.reactions)
        return again

    def read(self, room: int, after: int | None, before: int | None, limit: int) -> list[EventRow]:
        """A stretch of the log."""
        plan = Plan(self.state, self.known([]), at=self.at, now=0.0)
        plan.readings.append(Reading(self.task(Ping(0)), room, after, before, limit))
        return self.store.turn((), lambda over: NOTHING, lambda known: plan).rows[0]


def told(state: State) -> dict[str, object]:
    """What is to survive a restart, as values. Who is seen is the same, not in which order."""
    rooms = {
        id: {
            "name": room.name,
            "key": "" if room.closed else room.key,
            "kind": room.kind,
            "title": room.title,
            "head": room.head,
            "first": room.first,
            "count": room.count,
            "closed": room.closed,
            "members": room.members,
            "roster": set(room.roster),
            "ranks": room.ranks,
            "former": room.former,
            "restrictions": room.restrictions,
            "invites": room.invites,
        }
        for id, room in state.rooms.items()
    }
    # Clocks begin anew; the order of deadlines is all that is kept of them.
    clocks = {"gone": set(state.gone), "left": set(state.left)}
    fresh = {"refused", "decided"}  # of this owner, and of those before
    plain = {
        name: value
        for name, value in vars(state).items()
        if not name.startswith("_") and name not in fresh
    }
    return {**plain, **clocks, "rooms": rooms, "present": state.present()}
