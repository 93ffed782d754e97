"""A copy of a room: what its events and presence change in it, and what is told of it."""

from __future__ import annotations

from gateway.replica import Replica
from hubbub.frames import Event, Person, Presence, RoomState, Roster, encoder
from hubbub.wire import Entry, Item, Kind, Snapshot

ADA, BOB = Person(1, "Ada", role="owner"), Person(2, "Bob")


def den() -> Replica:
    """A room of two, at 5."""
    return Replica(Snapshot(3, "den", 5, 1, 4, [ADA, BOB], "A title", True))


def talk() -> Replica:
    """A conversation of two, of whom Bob is away."""
    offline = Person(2, "Bob", "offline")
    return Replica(Snapshot(4, "@1:2", 0, 1, 0, [Person(1, "Ada")], "", True, [ADA, offline]))


def event(
    room: Replica, kind: str, sender: int = 1, whom: int = 0, text: str = "", to: str = ""
) -> None:
    """The next number."""
    body = Event(room.name, room.head + 1, kind, sender, "X", 0, 4, to, whom, 0, text)
    assert room.apply(Item(Kind.EVENT, room.id, room.head + 1, sender, encoder.encode(body)))


def presence(room: Replica, who: Person, change: str) -> None:
    """Something unnumbered."""
    body = Presence(
        room.name, who.sender, who.name, change, who.state, role=who.role, away=who.away
    )
    assert room.apply(Item(Kind.PRESENCE, room.id, 0, who.sender, encoder.encode(body)))


def roles(room: Replica) -> dict[int, str]:
    return {sender: person.role for sender, person in room.roster.items()}


def test_events_change_title_and_visibility() -> None:
    room = den()
    event(room, "topic", text="Another")
    event(room, "public")
    assert (room.title, room.private) == ("Another", False)
    event(room, "private")
    assert room.private
    event(room, "closed")
    assert (room.closed, room.head) == (True, 9)


def test_events_change_roles() -> None:
    """“`role` sets the role; `joined`, `parted`, `kicked`, `banned` reset it to member.”"""
    room = den()
    event(room, "role", whom=2, text="operator")
    assert roles(room) == {1: "owner", 2: "operator"}
    event(room, "kicked", sender=1, whom=2)
    assert roles(room) == {1: "owner", 2: "member"}
    event(room, "role", whom=2, text="owner")
    event(room, "banned", sender=1, whom=2)
    assert roles(room) == {1: "owner", 2: "member"}
    event(room, "parted", sender=1)
    assert roles(room) == {1: "member", 2: "member"}
    event(room, "role", whom=99, text="owner")
    event(room, "reacted", sender=1, whom=2, text="+1")
    assert roles(room) == {1: "member", 2: "member"}


def test_presence_carries_role_and_what_one_says_of_being_away() -> None:
    room = den()
    presence(room, Person(2, "Bob", "busy", "operator", "cooking"), "state")
    presence(room, Person(3, "Cleo", "here", "owner"), "entered")
    presence(room, Person(9, "Gone", "away"), "state")  # who is not here has no state
    assert room.roster[2] == Person(2, "Bob", "busy", "operator", "cooking")
    assert list(room.roster) == [1, 2, 3]
    event(room, "renamed", sender=2, to="Robert")
    assert room.roster[2] == Person(2, "Robert", "busy", "operator", "cooking")


def test_of_two_the_peer_is_the_other_one_whether_here_or_not() -> None:
    room = talk()
    assert room.peer(1) == Person(2, "Bob", "offline")
    assert room.peer(2) == ADA
    presence(room, Person(2, "Bob", "here"), "entered")
    assert room.peer(1) == Person(2, "Bob", "here")
    event(room, "renamed", sender=2, to="Robert")
    assert room.peer(1) == Person(2, "Robert", "here")
    presence(room, Person(2, "Robert"), "left")
    assert room.peer(1) == Person(2, "Robert", "offline")
    assert room.is_called("@robert", 1)
    assert room.is_called("@1:2", 1)
    assert not room.is_called("@robert", 2)
    assert den().peer(1) is None


def test_an_answer_is_brought_up_to_now_and_keeps_what_is_personal() -> None:
    room = den()
    event(room, "topic", text="Newer")
    event(room, "role", whom=2, text="operator")
    presence(room, Person(1, "Ada"), "left")
    offline = Person(8, "Off", "offline")
    reply = Roster(0, "den", 3, 1, 3, 77, [ADA, BOB, offline], "Old", False, "member", 2, 2, 1)
    got = room.roster_frame(reply, 9, 2)
    assert (got.ref, got.head, got.count, got.epoch) == (9, 7, 4, 77)
    assert (got.title, got.private, got.mark, got.marked, got.mentions) == ("Newer", True, 2, 2, 1)
    assert [person.name for person in got.members] == ["Bob", "Off"]
    assert got.role == "operator"
    own = RoomState("den", 3, 1, 3, "Old", False, "owner", 2, 2, 1)
    assert room.state(own) == RoomState("den", 7, 1, 4, "Newer", True, "owner", 2, 2, 1)


def test_a_joined_tells_the_numbers_of_its_own_place() -> None:
    room = talk()
    snapshot = Snapshot(4, "@1:2", 0, 1, 0, [ADA], "", True)
    event(room, "topic", text="later")
    joined = room.joined_frame(Entry(snapshot, RoomState("@1:2", mark=3)), 77, 1, is_exact=True)
    assert (joined.head, joined.mark, joined.epoch, joined.title) == (0, 3, 77, "")
    assert joined.peer == Person(2, "Bob", "offline")


def test_a_later_snapshot_shows_who_changed_meanwhile() -> None:
    room = den()
    new = [Person(1, "Ada", "busy", "owner", "cooking"), Person(3, "Cleo", role="operator")]
    changes = room.take_over(Snapshot(3, "den", 9, 2, 6, new, "Newer", False), 5)
    assert [(one.change, one.name, one.state, one.role, one.away) for one in changes] == [
        ("left", "Bob", "here", "member", ""),
        ("state", "Ada", "busy", "owner", "cooking"),
        ("entered", "Cleo", "here", "operator", ""),
    ]
    assert (room.head, room.first, room.title, room.private) == (5, 2, "Newer", False)
    assert room.take_over(Snapshot(3, "den", 9, 2, 6, new, "Newer", False), 5) == []


def test_what_a_later_snapshot_knows_already_is_not_undone_by_the_log_before_it() -> None:
    """After a takeover the roster is newer than the entries that are read then."""
    room = den()
    newer = [ADA, Person(2, "Bob", role="owner")]
    room.take_over(Snapshot(3, "den", 7, 1, 4, newer, "Newest", True), 0)
    event(room, "role", whom=2, text="operator")
    event(room, "topic", text="Older")
    assert (roles(room)[2], room.title) == ("owner", "Newest")
    event(room, "topic", text="Newer")
    assert room.title == "Newer"
