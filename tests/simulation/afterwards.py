"""After all faults: until all is quiet, and what is true then."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgpack

from hubbub.names import DIRECT
from tests.faults.history import AnyRecord, Kept, Room, Roster, Standing
from tests.simulation.cluster import Cluster
from tests.simulation.device import Device
from tests.simulation.disk import Disk, rows
from tests.simulation.world import World
from worker.records import Rank, RoomKind
from worker.show import people
from worker.state import State

QUIET_WITHIN = 25.0  # seconds after the last fault, then something is stuck
LOOK_EVERY = 0.1


def settle(world: World, cluster: Cluster, devices: Sequence[Device]) -> str:
    """Let the time go on until all is quiet; what is still not so, else nothing."""
    deadline = world.now + QUIET_WITHIN
    asked = False
    while world.now < deadline:
        world.run(world.now + LOOK_EVERY)
        if not all(device.is_quiet for device in devices):
            asked = False
        elif not asked:
            # What anybody was answered by now is to be shown before this is answered.
            asked = True
            for device in devices:
                if not device.is_over:
                    device.rooms.ping()
        elif _is_in_step(cluster):
            return ""
    loud = [device.name for device in devices if not device.is_quiet]
    return f"not quiet after {QUIET_WITHIN} s: {', '.join(loud) or 'the gateways'}"


def _is_in_step(cluster: Cluster) -> bool:
    state = state_of(cluster)
    if state is None or cluster.worker is None or cluster.worker.shard is None:
        return False
    if any(gateway.hub is None or gateway.is_over for gateway in cluster.gateways):
        return False
    tenure = cluster.worker.shard._tenure
    hubs = [gateway.hub for gateway in cluster.gateways if gateway.hub is not None]
    return tenure is not None and all(
        hub._stream.in_step
        and (hub._stream.term, hub._stream.position) == (tenure.term, tenure._stream.position)
        and not hub._rooms.fetching
        for hub in hubs
    )


def state_of(cluster: Cluster) -> State | None:
    """What the owner remembers."""
    worker = cluster.worker
    tenure = worker.shard._tenure if worker is not None and worker.shard is not None else None
    return tenure.state if tenure is not None else None


# --- standings and rosters -----------------------------------------------------------------------


def compare(
    at: float, cluster: Cluster, devices: Sequence[Device], note: Callable[[AnyRecord], None]
) -> None:
    """What clients and gateways believe, and what the owner knows."""
    state = state_of(cluster)
    if state is None:
        return
    for device in devices:
        person = state.people.get(device.sender)
        if device.is_over or person is None:
            continue
        true = {state.rooms[id].name: state.rooms[id].head for id in person.rooms}
        for name in sorted(true.keys() | device.rooms.inside.keys()):
            mine = device.rooms.inside.get(name)
            note(
                Standing(
                    at,
                    device.client,
                    name,
                    (int(mine is not None), mine.cursor if mine is not None else 0, 0, 0, 0),
                    (int(name in true), true.get(name, 0), 0, 0, 0),
                )
            )
    for gateway in cluster.gateways:
        hub = gateway.hub
        for room in hub._rooms.all() if hub is not None else []:
            known = state.rooms[room.id]
            here = [f"{each.name} {each.state} {each.role}" for each in room.roster.values()]
            truth = [f"{each.name} {each.state} {each.role}" for each in people(state, known)]
            note(Roster(at, gateway.name, room.name, here, truth))
            if room.head != known.head:
                text = (1, room.head, 0, 0, 0), (1, known.head, 0, 0, 0)
                note(Standing(at, gateway.name, room.name, *text))


# --- the cold reader -----------------------------------------------------------------------------


def read_cold(at: float, disk: Disk, note: Callable[[AnyRecord], None]) -> None:
    """What is on the disk, when no process is there any more."""
    names = {}
    for id, name, kind in rows(disk, "SELECT id, name, kind FROM rooms ORDER BY id"):
        names[id] = name
        entries = rows(disk, f"SELECT seq, body FROM events WHERE room = {id} ORDER BY seq")
        for seq, body in entries:
            note(_kept(at, name, seq, msgpack.unpackb(body)))
        members = rows(
            disk,
            f"SELECT sender FROM members WHERE room = {id} AND rank != {Rank.FORMER:d}"
            " ORDER BY sender",
        )
        private = kind == RoomKind.PRIVATE or name.startswith(DIRECT)
        head = entries[-1][0] if entries else 0
        note(Room(at, name, head, private, [sender for (sender,) in members]))


def _kept(at: float, name: str, seq: int, entry: dict[str, object]) -> Kept:
    get = entry.get
    kind = get("kind") if entry["t"] == "event" else entry["t"]
    numbers = {key: get(key, 0) for key in ("of", "whom", "count", "edited", "deleted")}
    return Kept(at, name, seq, kind, entry["sender"], get("text", ""), **numbers)  # type: ignore[arg-type]
