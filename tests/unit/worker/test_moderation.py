"""Keeping order: ranks, kicks, bans and mutes with their ends, invitations, private rooms."""

from __future__ import annotations

from hubbub import frames
from hubbub.frames import (
    Ban,
    Bye,
    Close,
    Event,
    Invite,
    Invited,
    Join,
    Kick,
    Leave,
    Mute,
    Ok,
    Parted,
    Role,
    Roster,
    Say,
    Topic,
    Unban,
    Visibility,
)
from hubbub.wire import Kind
from tests.unit.worker.looking import log, new, of_kind, rooms_of, state, told_to
from tests.unit.worker.world import Person, World, code_of
from worker.moderation import MOST_RESTRICTIONS
from worker.records import Restriction
from worker.show import MOST_INVITATIONS

HERE, THERE = "203.0.113.5", "198.51.100.7"


def role_of(world: World, person: Person, room: int = 1) -> str:
    """What somebody is in a room."""
    return world.state.rooms[room].rank_of(person.sender).word


def promoted(world: World, owner: Person, name: str, role: str = "operator") -> None:
    """Somebody is made something."""
    assert isinstance(world.ask(Role(0, new(), "lobby", name, role), owner), Ok)


def last(world: World, room: int = 1) -> Event:
    """The newest event of a room."""
    found = log(world, room)[-1]
    assert isinstance(found, Event)
    return found


# --- ranks ------------------------------------------------------------------------------------


def test_a_room_is_owned_by_the_account_that_made_it_and_by_no_guest() -> None:
    """“A room made by an account is owned by it.”"""
    world = World()
    alice, bob = world.account("alice", "lobby"), world.person("bob", "lobby", "den")
    assert (role_of(world, alice), role_of(world, bob), role_of(world, bob, 2)) == (
        "owner",
        "member",
        "member",
    )
    assert code_of(world.ask(Role(0, new(), "lobby", "bob", "operator"), alice)) == "not_allowed"


def test_nobody_acts_upon_who_stands_as_high() -> None:
    """“Owner, operator, member roles”: an operator puts no operator out, and no owner."""
    world = World()
    alice = world.account("alice", "lobby")
    bob, carol = world.account("bob", "lobby"), world.account("carol", "lobby")
    for name in ("bob", "carol"):
        promoted(world, alice, name)
    for frame in (
        Kick(0, new(), "lobby", "carol"),
        Ban(0, new(), "lobby", "alice"),
        Mute(0, new(), "lobby", "carol"),
        Kick(0, new(), "lobby", "bob"),  # not oneself either
    ):
        assert code_of(world.ask(frame, bob)) == "not_allowed"
    assert isinstance(world.ask(Kick(0, new(), "lobby", "carol"), alice), Ok)
    assert rooms_of(world, carol) == set()


def test_a_room_keeps_an_owner() -> None:
    """“lobby needs an owner: name another first”"""
    world = World()
    alice, bob = world.account("alice", "lobby"), world.account("bob", "lobby")
    demote = Role(0, new(), "lobby", "alice", "member")
    assert code_of(world.ask(demote, alice)) == "not_allowed"
    promoted(world, alice, "bob", "owner")
    assert isinstance(world.ask(demote, alice), Ok)
    assert (role_of(world, alice), role_of(world, bob)) == ("member", "owner")


def test_the_last_owner_that_leaves_is_followed_by_the_first_operator() -> None:
    """“A room whose last owner has gone belongs to its first operator, else first account.”"""
    world = World()
    alice, bob = world.account("alice", "lobby"), world.account("bob", "lobby")
    carol = world.account("carol", "lobby")
    promoted(world, alice, "carol")
    world.ask(Leave(0, new(), "lobby"), alice)
    assert (role_of(world, bob), role_of(world, carol)) == ("member", "owner")
    assert (last(world).kind, last(world).whom, last(world).text) == ("role", carol.sender, "owner")
    world.turn(world.checked(frames.Unregister(0, new(), "x"), carol))
    assert role_of(world, bob) == "owner"


# --- out --------------------------------------------------------------------------------------


def test_the_kicked_sees_the_kick_and_nothing_after() -> None:
    """“The kick EVENT precedes MEMBER_OUT, so the kicked sees it, and nothing after.”"""
    world = World()
    alice, bob = world.account("alice", "lobby"), world.account("bob", "lobby")
    world.turn(
        world.task(Kick(0, new(), "lobby", "bob", "rude"), alice),
        world.task(Say(0, new(), "lobby", "so"), alice),
    )
    assert world.kinds() == [Kind.EVENT, Kind.PRESENCE, Kind.MEMBER_OUT, Kind.MESSAGE]
    out = frames.server_decoder.decode(of_kind(world, Kind.MEMBER_OUT)[0].body)
    assert out == Parted("lobby", "kicked", "alice", "rude")
    assert code_of(world.ask(Say(0, new(), "lobby", "x"), bob)) == "not_member"
    assert isinstance(world.ask(Join(0, new(), "lobby"), bob), Roster)  # it is no ban


def test_a_ban_keeps_out_until_its_end() -> None:
    """“Ban (with a reason and an end).”"""
    world = World()
    alice, bob = world.account("alice", "lobby"), world.account("bob", "lobby")
    world.ask(Ban(0, new(), "lobby", "bob", "spam", 60), alice)
    event = next(each for each in log(world) if isinstance(each, Event) and each.kind == "banned")
    assert (event.whom, event.text, event.until) == (bob.sender, "spam", world.at + 60_000)
    world.at += 59_999
    assert code_of(world.ask(Join(0, new(), "lobby"), bob)) == "banned"
    assert code_of(world.ask(Say(0, new(), "lobby", "x"), bob)) == "banned"
    world.at += 1
    assert isinstance(world.ask(Join(0, new(), "lobby"), bob), Roster)


def test_a_ban_without_an_end_lasts_until_it_is_taken_back() -> None:
    """“0: until it is taken back”, by the name that they had then, too."""
    world = World()
    alice, bob = world.account("alice", "lobby"), world.account("bob", "lobby")
    world.ask(Ban(0, new(), "lobby", "bob"), alice)
    world.at += 10**12
    world.ask(frames.Nick(0, new(), "robert"), bob)
    assert code_of(world.ask(Join(0, new(), "lobby"), bob)) == "banned"
    assert isinstance(world.ask(Unban(0, new(), "lobby", "bob"), alice), Ok)
    assert (last(world).kind, last(world).whom) == ("unbanned", bob.sender)
    assert isinstance(world.ask(Join(0, new(), "lobby"), bob), Roster)
    assert code_of(world.ask(Unban(0, new(), "lobby", "bob"), alice)) == "no_such_person"


def test_a_banned_guests_place_is_banned_with_them_for_guests() -> None:
    """“Put somebody out and keep them out; a guest's place with them.”"""
    world = World()
    alice = world.account("alice", "lobby")
    world.person("troll", "lobby", address=HERE)
    friend = world.person("friend", address=HERE)
    world.ask(Ban(0, new(), "lobby", "troll", "", 60), alice)
    again, elsewhere = world.person("again", address=HERE), world.person("else", address=THERE)
    assert code_of(world.ask(Join(0, new(), "lobby"), again)) == "banned"
    assert isinstance(world.ask(Join(0, new(), "lobby"), elsewhere), Roster)
    world.register(friend)
    assert isinstance(world.ask(Join(0, new(), "lobby"), friend), Roster)  # an account answers
    world.at += 60_000
    assert isinstance(world.ask(Join(0, new(), "lobby"), again), Roster)


def test_a_ban_of_a_guest_on_this_machine_bans_no_other() -> None:
    """From loopback everybody comes when a proxy is there: it says nothing of a person."""
    world = World()
    alice = world.account("alice", "lobby")
    world.person("troll", "lobby", address="127.0.0.1")
    world.ask(Ban(0, new(), "lobby", "troll"), alice)
    other = world.person("other", address="127.0.0.1")
    assert isinstance(world.ask(Join(0, new(), "lobby"), other), Roster)
    strict = World(limit_loopback=True)
    alice = strict.account("alice", "lobby")
    strict.person("troll", "lobby", address="127.0.0.1")
    strict.ask(Ban(0, new(), "lobby", "troll"), alice)
    other = strict.person("other", address="127.0.0.1")
    assert code_of(strict.ask(Join(0, new(), "lobby"), other)) == "banned"


def test_somebody_can_be_banned_before_they_come() -> None:
    """“Keep them out.”"""
    world = World()
    alice, bob = world.account("alice", "lobby"), world.account("bob")
    world.ask(Ban(0, new(), "lobby", "bob"), alice)
    assert Kind.MEMBER_OUT not in world.kinds()
    assert code_of(world.ask(Join(0, new(), "lobby"), bob)) == "banned"
    assert code_of(world.ask(Invite(0, new(), "lobby", "bob"), alice)) == "not_allowed"


# --- mutes ------------------------------------------------------------------------------------


def test_the_muted_read_but_do_not_write_until_the_end() -> None:
    """“Let somebody read but not write in a room, or write again.”"""
    world = World()
    alice, bob = world.account("alice", "lobby"), world.person("bob", "lobby")
    world.ask(Mute(0, new(), "lobby", "bob", "calm down", 60), alice)
    assert (last(world).kind, last(world).until) == ("muted", world.at + 60_000)
    say = Say(0, new(), "lobby", "x")
    assert code_of(world.ask(say, bob)) == "muted"
    assert isinstance(world.ask(frames.Read(0, "lobby", 1), bob), Ok)
    world.at += 60_000
    assert isinstance(world.ask(say, bob), Ok)


def test_leaving_and_coming_back_does_not_end_a_mute() -> None:
    """A mute is of the person, not of their being there."""
    world = World()
    alice, bob = world.account("alice", "lobby"), world.person("bob", "lobby")
    world.ask(Mute(0, new(), "lobby", "bob"), alice)
    world.ask(Leave(0, new(), "lobby"), bob)
    world.ask(Join(0, new(), "lobby"), bob)
    assert code_of(world.ask(Say(0, new(), "lobby", "x"), bob)) == "muted"
    world.ask(Mute(0, new(), "lobby", "bob", on=False), alice)
    assert world.say(bob, "lobby", "thanks")


def test_a_mute_that_would_not_hold_is_refused() -> None:
    """“Clear refusals”: an operator writes, muted or not, so it takes a plain member."""
    world = World()
    alice, bob = world.account("alice", "lobby"), world.account("bob", "lobby")
    promoted(world, alice, "bob")
    assert code_of(world.ask(Mute(0, new(), "lobby", "bob"), alice)) == "not_allowed"
    promoted(world, alice, "bob", "member")
    assert isinstance(world.ask(Mute(0, new(), "lobby", "bob"), alice), Ok)
    assert code_of(world.ask(Say(0, new(), "lobby", "x"), bob)) == "muted"


# --- in ---------------------------------------------------------------------------------------


def test_a_private_room_is_entered_by_invitation_alone() -> None:
    """“Only who is invited may enter.”"""
    world = World()
    alice, bob = world.account("alice"), world.account("bob")
    assert isinstance(world.ask(Join(0, new(), "den", private=True), alice), Roster)
    assert code_of(world.ask(Join(0, new(), "den"), bob)) == "not_allowed"
    world.ask(Invite(0, new(), "den", "bob"), alice)
    assert told_to(world, bob) == [Invited("den", "alice")]
    assert isinstance(world.ask(Join(0, new(), "den"), bob), Roster)
    world.ask(Leave(0, new(), "den"), bob)
    assert code_of(world.ask(Join(0, new(), "den"), bob)) == "not_allowed"  # it is used up


def test_an_invitation_waits_for_whoever_is_away() -> None:
    """“Rooms that one was invited to and has not entered yet”, at the next login."""
    world = World()
    alice, bob = world.account("alice"), world.account("bob")
    world.ask(Join(0, new(), "den", private=True), alice)
    world.ask(frames.Bye(0, new()), bob)
    world.ask(Invite(0, new(), "den", "bob"), alice)
    assert [each.room for each in world.login("bob").welcome.invitations] == ["den"]


def test_of_many_invitations_the_newest_wait() -> None:
    """“No one can hurt the others”: a welcome lists them, and has to fit into a message."""
    world = World()
    alice, bob = world.account("alice"), world.account("bob")
    for number in range(MOST_INVITATIONS + 20):
        world.at += 1
        world.ask(Join(0, new(), f"den-{number}", private=True), alice)
        assert isinstance(world.ask(Invite(0, new(), f"den-{number}", "bob"), alice), Ok)
    waiting = [f"den-{number}" for number in range(20, MOST_INVITATIONS + 20)]
    assert [each.room for each in world.login("bob").welcome.invitations] == waiting
    assert code_of(world.ask(Join(0, new(), "den-0"), bob)) == "not_allowed"
    assert isinstance(world.ask(Join(0, new(), "den-20"), bob), Roster)


def test_nobody_is_invited_who_is_gone_for_good() -> None:
    """“Every buffer has a bound”: senders are never reused, so nobody could ever come."""
    world = World()
    alice, guest = world.account("alice"), world.person("guest")
    world.ask(Join(0, new(), "den", private=True), alice)
    assert isinstance(world.ask(Invite(0, new(), "den", "guest"), alice), Ok)
    world.ask(Leave(0, new(), "den"), alice)
    assert isinstance(world.ask(Bye(0, new()), guest), Ok)
    assert not world.state.invited_to
    assert world.state.rooms[1].closed  # nobody could ever enter it again
    assert isinstance(world.ask(Join(0, new(), "den"), alice), Roster)


def test_a_rooms_bans_are_as_many_as_one_answer_lists_and_those_that_are_over_make_space() -> None:
    """“Every buffer has a bound.”"""
    world = World()
    alice = world.account("alice", "lobby")
    world.person("troll")
    room = world.state.rooms[1]
    for number in range(1000, 1000 + MOST_RESTRICTIONS):
        over = Restriction("mute", number, f"p{number}", "alice", 1, world.at + 1000)
        world.state.put_restriction(room, ("mute", number), over)
    assert code_of(world.ask(Ban(0, new(), "lobby", "troll"), alice)) == "limit"
    world.at += 2000
    assert isinstance(world.ask(Ban(0, new(), "lobby", "troll"), alice), Ok)
    assert [each.name for each in room.all_restrictions()] == ["troll"]
    assert world.state.restricted == {1}
    root = world.account("root", operator=True)
    world.ask(Close(0, new(), "lobby"), root)
    assert not world.state.restricted  # no search looks at it any more


def test_guests_make_no_private_room_and_members_open_none() -> None:
    """“Make a private room” takes an account, inviting into one an operator."""
    world = World()
    guest = world.person("guest")
    assert code_of(world.ask(Join(0, new(), "den", private=True), guest)) == "not_allowed"
    alice, bob = world.account("alice"), world.account("bob")
    world.ask(Join(0, new(), "den", private=True), alice)
    world.ask(Invite(0, new(), "den", "bob"), alice)
    world.ask(Join(0, new(), "den"), bob)
    assert code_of(world.ask(Invite(0, new(), "den", "guest"), bob)) == "not_allowed"


def test_what_a_member_could_do_in_a_public_room_opens_no_private_one() -> None:
    """“While the room was public all members could invite: that opens no private room.”"""
    world = World()
    alice, bob = world.account("alice", "lobby"), world.account("bob", "lobby")
    carol, dave = world.account("carol"), world.account("dave")
    world.ask(Invite(0, new(), "lobby", "carol"), bob)
    world.ask(Invite(0, new(), "lobby", "dave"), alice)
    world.ask(Visibility(0, new(), "lobby", True), alice)
    assert code_of(world.ask(Join(0, new(), "lobby"), carol)) == "not_allowed"
    assert isinstance(world.ask(Join(0, new(), "lobby"), dave), Roster)


def test_a_room_made_private_keeps_its_members() -> None:
    """“The room can be entered by invitation alone”: who is in it is in it."""
    world = World()
    alice, bob = world.account("alice", "lobby"), world.account("bob", "lobby")
    world.ask(Visibility(0, new(), "lobby", True), alice)
    assert last(world).kind == "private"
    assert world.say(bob, "lobby", "hello")
    assert code_of(world.ask(Visibility(0, new(), "lobby", False), bob)) == "not_allowed"


# --- the room ---------------------------------------------------------------------------------


def test_a_room_that_everybody_has_left_belongs_to_the_next_account() -> None:
    """“Owners expect to keep order”: no room is to stay without one for good."""
    world = World()
    alice, guest, bob = world.account("alice", "lobby"), world.person("gus"), world.account("bob")
    world.ask(Leave(0, new(), "lobby"), alice)
    world.ask(Join(0, new(), "lobby"), guest)
    world.ask(Leave(0, new(), "lobby"), guest)
    world.ask(Join(0, new(), "lobby"), bob)
    assert role_of(world, bob) == "owner"
    world.ask(Join(0, new(), "lobby"), alice)
    assert role_of(world, alice) == "member"


def test_a_private_room_is_closed_when_its_last_member_leaves_and_nobody_is_invited() -> None:
    """Nobody could ever enter it again, and its name is of use to others."""
    world = World()
    alice, bob = world.account("alice"), world.account("bob")
    for room in ("den", "attic"):
        world.ask(Join(0, new(), room, private=True), alice)
    world.ask(Invite(0, new(), "attic", "bob"), alice)
    for room in ("den", "attic"):
        world.ask(Leave(0, new(), room), alice)
    assert [world.state.rooms[id].closed for id in (1, 2)] == [True, False]
    assert isinstance(world.ask(Join(0, new(), "den"), bob), Roster)
    assert world.state.room_keys["den"] == 3
    world.ask(Join(0, new(), "attic"), bob)
    assert role_of(world, bob, 2) == "owner"


def test_a_title_that_is_the_same_is_not_told_again() -> None:
    """Every event is a number for ever."""
    world = World()
    alice = world.account("alice", "lobby")
    first = world.ask(Topic(0, new(), "lobby", "welcome"), alice)
    again = world.ask(Topic(0, new(), "lobby", "welcome"), alice)
    assert (first, again) == (Ok(0, "lobby", 2, world.at), Ok(0, "lobby", 0, world.at))
    assert (state(world, alice).title, len(log(world))) == ("welcome", 2)


def test_a_closed_room_is_over_for_all_and_its_name_is_free() -> None:
    """“Everybody is out, its name is free, its log is read no more.”"""
    world = World()
    op = world.account("op", operator=True)
    alice, bob = world.account("alice", "lobby"), world.person("bob", "lobby")
    world.say(bob, "lobby", "hello")
    world.ask(Close(0, new(), "lobby", "spam"), op)
    out = of_kind(world, Kind.MEMBER_OUT)
    assert {item.sender for item in out} == {alice.sender, bob.sender}
    assert frames.server_decoder.decode(out[0].body) == Parted("lobby", "closed", "op", "spam")
    assert code_of(world.ask(frames.History(0, "lobby"), alice)) == "no_such_room"
    reply = world.ask(Join(0, new(), "lobby"), alice)
    assert isinstance(reply, Roster)
    assert (reply.head, reply.role) == (1, "owner")
    assert [room.id for room in world.state.rooms.values() if not room.closed] == [2]


def test_closing_takes_an_operator_of_the_cluster() -> None:
    """“That takes an operator of the cluster”: an owner leaves, or makes the room private."""
    world = World()
    alice = world.account("alice", "lobby")
    assert code_of(world.ask(Close(0, new(), "lobby"), alice)) == "not_allowed"
