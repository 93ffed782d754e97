"""What the checker says of names, roles, mutes and what rooms are told to be, case by case."""

from __future__ import annotations

import msgspec
import pytest

from tests.faults.checker import check
from tests.faults.history import (
    Answered,
    AnyRecord,
    Asked,
    Client,
    Entered,
    Kept,
    Out,
    Refused,
    Room,
    Shown,
    Told,
)

_replace = msgspec.structs.replace


def renamed() -> list[AnyRecord]:
    """Ann is in two rooms, takes two names, and all know her by the second one."""
    names = [(1, "Anna", "owner"), (2, "Bob", "member")]
    return [
        Client(0.0, "a", "Ann", 1),
        Client(0.0, "b", "Bob", 2, operator=True),
        Asked(1.0, "a", "say", "01", "den", "one"),
        Answered(1.1, "a", "01", 2),
        Asked(1.2, "a", "say", "02", "nook", "two"),
        Answered(1.3, "a", "02", 2),
        Asked(2.0, "a", "nick", "03", "", "Annie"),
        Answered(2.1, "a", "03"),
        Asked(3.0, "a", "nick", "04", "", "Anna"),
        Answered(3.1, "a", "04"),
        Asked(4.0, "a", "say", "05", "den", "three"),
        Answered(4.1, "a", "05", 5),
        Told(9.0, "a", "den", "", False, names),
        Told(9.0, "gateway-1", "den", "", False, names, [], True),
        Kept(9.0, "den", 1, "joined", 1),
        Kept(9.0, "den", 2, "message", 1, "one", count=1),
        Kept(9.0, "den", 3, "renamed", 1, to="Annie", whom=1, count=1),
        Kept(9.0, "den", 4, "renamed", 1, to="Anna", whom=1, count=1),
        Kept(9.0, "den", 5, "message", 1, "three", count=2),
        Kept(9.0, "nook", 1, "joined", 1),
        Kept(9.0, "nook", 2, "message", 1, "two", count=1),
        Kept(9.0, "nook", 3, "renamed", 1, to="Annie", whom=1, count=1),
        Kept(9.0, "nook", 4, "renamed", 1, to="Anna", whom=1, count=1),
    ]


def ordered() -> list[AnyRecord]:
    """Bob, who operates the cluster, makes Ann an operator, and mutes Cid for a while."""
    people = [(1, "Ann", "operator"), (2, "Bob", ""), (3, "Cid", "member")]
    return [
        Client(0.0, "a", "Ann", 1),
        Client(0.0, "b", "Bob", 2, operator=True),
        Client(0.0, "c", "Cid", 3),
        Asked(1.0, "b", "role", "01", "den", "operator", to="Ann"),
        Answered(1.1, "b", "01", 4),
        Asked(2.0, "b", "mute", "02", "den", "spam", to="Cid"),
        Answered(2.1, "b", "02"),
        Asked(3.0, "a", "topic", "03", "den", "title"),
        Answered(3.1, "a", "03", 6),
        Asked(4.0, "b", "unmute", "04", "den", to="Cid"),
        Answered(4.1, "b", "04"),
        Asked(5.0, "c", "say", "05", "den", "free"),
        Answered(5.1, "c", "05", 8),
        Told(9.0, "c", "den", "title", False, people),
        Told(9.0, "gateway-1", "den", "title", False, people, [], True),
        Kept(9.0, "den", 1, "joined", 2),
        Kept(9.0, "den", 2, "joined", 1),
        Kept(9.0, "den", 3, "joined", 3),
        Kept(9.0, "den", 4, "role", 2, "operator", whom=1, to="Ann"),
        Kept(9.0, "den", 5, "muted", 2, "spam", whom=3, to="Cid"),
        Kept(9.0, "den", 6, "topic", 1, "title"),
        Kept(9.0, "den", 7, "unmuted", 2, whom=3, to="Cid"),
        Kept(9.0, "den", 8, "message", 3, "free", count=1),
    ]


def kinds(records: list[AnyRecord]) -> set[str]:
    """What is found."""
    return set(check(records).found)


def of_kept(records: list[AnyRecord], room: str, seq: int, **changes: object) -> list[AnyRecord]:
    """The same with other fields of an entry."""
    return [
        _replace(each, **changes)
        if isinstance(each, Kept) and (each.room, each.seq) == (room, seq)
        else each
        for each in records
    ]


def of_told(records: list[AnyRecord], number: int, **changes: object) -> list[AnyRecord]:
    """The same with other fields of what was told, the n-th time."""
    told = [each for each in records if isinstance(each, Told)][number]
    return [_replace(each, **changes) if each is told else each for each in records]


def of_ask(records: list[AnyRecord], id: str, outcome: AnyRecord) -> list[AnyRecord]:
    """The same with another outcome of a request."""
    return [outcome if isinstance(each, Answered) and each.id == id else each for each in records]


def test_what_is_right_is_not_found_fault_with() -> None:
    for records in (renamed(), ordered()):
        verdict = check(records)
        assert verdict.ok, verdict.findings


@pytest.mark.parametrize(
    ("records", "kind"),
    [
        (of_kept(renamed(), "nook", 4, kind="pinned"), "lost"),  # not in this room
        (of_kept(renamed(), "nook", 4, to="Annie"), "doubled"),
        (of_kept(renamed(), "nook", 4, to="Cleo"), "phantom"),
        (of_ask(renamed(), "04", Refused(3.1, "a", "04", "name_taken")), "phantom"),
        (of_kept(of_kept(renamed(), "nook", 3, to="Anna"), "nook", 4, to="Annie"), "order"),
        (of_told(renamed(), 0, people=[(1, "Annie", "owner")]), "standing"),
        (of_told(renamed(), 0, people=[(7, "Anna", "member")]), "doubled"),
    ],
)
def test_each_kind_of_finding_about_names(records: list[AnyRecord], kind: str) -> None:
    assert kind in kinds(records)


def test_a_name_that_all_believe_and_another_has_followed_is_lost() -> None:
    """An old name has come back, for everybody alike."""
    records = renamed()
    for number in (0, 1):
        records = of_told(records, number, people=[(1, "Annie", "owner"), (2, "Bob", "member")])
    assert kinds(records) == {"lost"}


@pytest.mark.parametrize(
    ("records", "kind"),
    [
        (of_kept(ordered(), "den", 4, text="owner"), "lost"),
        (of_kept(ordered(), "den", 4, to="Cid"), "lost"),
        (of_kept(ordered(), "den", 4, whom=3, to="Cid"), "not_allowed"),  # then Ann gives no title
        (of_kept(ordered(), "den", 4, whom=9), "not_allowed"),  # who is not in it
        (of_kept(ordered(), "den", 5, kind="pinned"), "lost"),
        (of_kept(ordered(), "den", 5, text="other"), "lost"),
        (of_kept(ordered(), "den", 7, kind="pinned"), "lost"),
        (of_kept(ordered(), "den", 7, kind="pinned"), "not_allowed"),  # Cid is muted still
        (of_kept(ordered(), "den", 7, kind="muted", text="spam"), "doubled"),
        (of_kept(ordered(), "den", 5, kind="banned"), "not_allowed"),
        (of_told(ordered(), 0, title="other"), "standing"),
        (of_told(ordered(), 0, people=[(1, "Ann", "owner")]), "standing"),
        (of_told(ordered(), 1, restrictions=["mute Cid"]), "standing"),
    ],
)
def test_each_kind_of_finding_about_order_in_rooms(records: list[AnyRecord], kind: str) -> None:
    assert kind in kinds(records)


def turned() -> list[AnyRecord]:
    """Ann owns a room and makes it private when Bob has gone; Cid is asked in."""
    return [
        Client(0.0, "a", "Ann", 1, operator=True),
        Client(0.0, "b", "Bob", 2),
        Client(0.0, "c", "Cid", 3),
        Entered(1.0, "b", "den", 2),
        Asked(1.1, "a", "say", "01", "den", "for all"),
        Shown(1.2, "b", "den", 3, "message", 1, "for all"),
        Answered(1.2, "a", "01", 3),
        Shown(2.0, "b", "den", 4, "parted", 2),
        Out(2.0, "b", "den", "parted"),
        Asked(3.0, "a", "private", "02", "den"),
        Answered(3.1, "a", "02", 5),
        Asked(4.0, "a", "invite", "03", "den", to="Cid"),
        Answered(4.1, "a", "03", 6),
        Entered(5.0, "c", "den", 7),
        Asked(6.0, "a", "say", "04", "den", "for Cid"),
        Shown(6.1, "c", "den", 8, "message", 1, "for Cid"),
        Answered(6.1, "a", "04", 8),
        Kept(9.0, "den", 1, "joined", 1),
        Kept(9.0, "den", 2, "joined", 2),
        Kept(9.0, "den", 3, "message", 1, "for all", count=1),
        Kept(9.0, "den", 4, "parted", 2, count=1),
        Kept(9.0, "den", 5, "private", 1, count=1),
        Kept(9.0, "den", 6, "invited", 1, whom=3, to="Cid", count=1),
        Kept(9.0, "den", 7, "joined", 3, count=1),
        Kept(9.0, "den", 8, "message", 1, "for Cid", count=2),
        Room(9.0, "den", 8, True, [1, 3]),
        Told(9.0, "gateway-1", "den", "", True, [(1, "Ann", "owner"), (3, "Cid", "member")]),
    ]


def test_what_a_room_holds_is_for_its_members_while_it_is_private() -> None:
    """And nobody comes in then who was not asked."""
    assert kinds(turned()) == set()
    told: list[AnyRecord] = [
        Entered(7.0, "b", "den", 7),
        Shown(7.0, "b", "den", 8, "message", 1, "for Cid"),
    ]
    assert kinds([*turned(), *told]) == {"not_member"}
    assert kinds(of_kept(turned(), "den", 6, whom=2)) == {"not_allowed"}
    assert "lost" in kinds(of_kept(turned(), "den", 5, kind="pinned"))
    assert kinds(of_told(turned(), 0, private=False)) == {"standing"}


def closed() -> list[AnyRecord]:
    """Ann and Cid are in a room, each says a line, and Ann closes it."""
    return [
        Client(0.0, "a", "Ann", 1, operator=True),
        Client(0.0, "c", "Cid", 3, exact=True),
        Entered(1.0, "a", "stall", 2),
        Entered(1.0, "c", "stall", 2),
        Asked(2.0, "a", "say", "01", "stall", "one"),
        Asked(2.0, "c", "say", "02", "stall", "two"),
        Asked(2.1, "a", "close", "03", "stall", "enough"),
        *(Shown(2.2, client, "stall", 3, "message", 1, "one") for client in "ac"),
        *(Shown(2.3, client, "stall", 4, "message", 3, "two") for client in "ac"),
        *(Shown(2.4, client, "stall", 5, "closed", 1, "enough") for client in "ac"),
        *(Out(2.5, client, "stall", "closed") for client in "ac"),
        Answered(2.6, "a", "01", 3),
        Answered(2.6, "c", "02", 4),
        Answered(2.6, "a", "03"),
    ]


def without(records: list[AnyRecord], kind: type, client: str) -> list[AnyRecord]:
    """The same without the last record of a kind that a client has."""
    own = [n for n, each in enumerate(records) if getattr(each, "client", "") == client]
    at = max(number for number in own if isinstance(records[number], kind))
    return [*records[:at], *records[at + 1 :]]


LATE = Asked(3.0, "c", "say", "04", "stall", "late")


@pytest.mark.parametrize(
    ("records", "kind"),
    [
        (of_ask(closed(), "01", Answered(2.6, "a", "01", 4)), "lost"),
        (of_ask(closed(), "02", Answered(2.6, "c", "02", 6)), "order"),
        ([*closed(), LATE, Answered(3.1, "c", "04", 6)], "phantom"),
        (of_ask(closed(), "02", Refused(2.6, "c", "02", "no_such_room")), "phantom"),
        ([*closed(), Shown(3.0, "a", "stall", 6, "closed", 1, "enough")], "doubled"),
        ([*closed(), Shown(3.0, "a", "stall", 6, "message", 1, "one")], "doubled"),
        ([*closed(), Shown(3.0, "a", "stall", 5, "closed", 3, "enough")], "altered"),
        (without(closed(), Out, "c"), "standing"),
        (without(closed(), Out, "a"), "standing"),
    ],
)
def test_each_kind_of_finding_about_a_closed_room(records: list[AnyRecord], kind: str) -> None:
    assert kinds(closed()) == set()
    assert kind in kinds(records)


def test_a_room_falls_to_who_is_left_only_when_no_owner_is() -> None:
    """Cid says of himself that he owns it now: right when Ann, the owner, has gone."""
    heir = Kept(9.0, "den", 9, "role", 3, "owner", whom=3, to="Cid", count=1)
    people = [(3, "Cid", "owner")]
    records: list[AnyRecord] = [each for each in ordered() if not isinstance(each, Told)]
    records = of_kept(records, "den", 4, text="owner")
    records = [
        _replace(e, text="owner") if isinstance(e, Asked) and e.op == "role" else e for e in records
    ]
    told = Told(9.0, "gateway-1", "den", "title", False, people, [], True)
    assert kinds([*records, heir, told]) == {"not_allowed"}
    gone = Kept(9.0, "den", 9, "parted", 1, count=1)
    assert kinds([*records, gone, _replace(heir, seq=10), told]) == set()
