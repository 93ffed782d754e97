"""Ways round the rules that somebody may try: what is others', what opens a room, old answers."""

from __future__ import annotations

import os

import pytest

from hubbub import frames
from hubbub.frames import ClientFrame, Error, Ok, Roster, Welcome
from hubbub.wire import Kind
from tests.unit.worker.situations import new
from tests.unit.worker.world import OPERATOR_KEY, Person, World, code_of
from worker.records import RoomKind

DAY = 24 * 3600 * 1000  # ms


def kind_of(world: World, room: str) -> RoomKind:
    """Who may enter a room."""
    return world.state.rooms[world.state.room_keys[room]].kind


def events(world: World) -> list[frames.Event]:
    """The other entries of the logs than messages."""
    decoded = [frames.server_decoder.decode(row.body) for row in world.events]
    return [each for each in decoded if isinstance(each, frames.Event)]


# --- what is others' --------------------------------------------------------------------------


def test_what_others_said_is_edited_by_nobody() -> None:
    """“Edit and delete (own; operators may delete).”"""
    world = World()
    alice, bob = world.account("alice", "den"), world.account("bob", "den")
    chief = world.account("chief", "den", operator=True)
    seq = world.say(bob, "den", "hello")
    before = list(world.events)
    for person in (alice, chief):
        edit = frames.Edit(0, new(), "den", seq, "goodbye")
        assert code_of(world.ask(edit, person)) == "not_allowed"
    seq = world.say(alice, "den", "mine")
    delete = frames.Delete(0, new(), "den", seq)
    assert code_of(world.ask(delete, bob)) == "not_allowed"
    assert world.events[: len(before)] == before


def test_a_device_of_another_is_as_if_there_were_none() -> None:
    """“Ids in a frame are bound to the authenticated session.”"""
    world = World()
    alice, eve = world.account("alice"), world.account("eve")
    (theirs,) = world.state.devices_of[alice.sender]
    texts = set()
    for id in (theirs, 99):
        reply = world.ask(frames.Revoke(0, new(), id), eve)
        assert isinstance(reply, Error)
        texts.add((reply.code, reply.text.replace(str(id), "N")))
    assert len(texts) == 1
    assert theirs in world.state.devices
    assert alice.session in world.state.sessions


def test_a_revoked_device_lets_nobody_in_and_its_sessions_are_over() -> None:
    """“Tokens per device, listed and revocable.”"""
    world = World()
    alice = world.account("alice", "den")
    stolen = world.login("alice", gateway="g2")
    (device,) = [each.id for each in world.state.devices.values() if each.used_at == world.at][1:]
    world.ask(frames.Revoke(0, new(), device), alice)
    assert code_of(world.ask(frames.Login(0, new(), token=stolen.device))) == "bad_login"
    assert code_of(world.ask(frames.Resume(0, new(), stolen.token))) == "expired"
    assert code_of(world.ask(frames.History(0, "den"), stolen)) == "expired"


def test_no_name_of_an_account_is_anybody_elses() -> None:
    """“Somebody else under their name” must never be met: not asleep, suspended or deleted."""
    world = World()
    sleeper, outcast = world.account("sleeper"), world.account("outcast")
    chief, eve = world.account("chief", operator=True), world.person("eve")
    gone = world.account("gone")
    world.ask(frames.Bye(0, new()), sleeper)
    world.ask(frames.Suspend(0, new(), "outcast"), chief)
    world.turn(world.checked(frames.Unregister(0, new(), "a good password"), gone))
    for name in ("sleeper", "SLEEPER", "s1eeper", "outcast", "gone", "Gone"):
        assert code_of(world.ask(frames.Hello(0, new(), name))) == "name_taken"
        assert code_of(world.ask(frames.Nick(0, new(), name), eve)) == "name_taken"
        assert code_of(world.ask(frames.Rename(0, new(), "eve", name), chief)) == "name_taken"
    world.at += 31 * DAY
    assert isinstance(world.ask(frames.Hello(0, new(), "gone")), Welcome)
    assert outcast.sender in world.state.people


def test_of_a_deleted_account_nothing_is_left_to_use() -> None:
    """“Delete account”: its tokens, its password, its place in rooms."""
    world = World()
    alice, gone = world.account("alice", "den"), world.person("gone", "den")
    device = world.register(gone)
    assert isinstance(world.ask(frames.Login(0, new(), token=device)), Welcome)
    world.turn(world.checked(frames.Unregister(0, new(), "a good password"), gone))
    assert code_of(world.ask(frames.Login(0, new(), token=device))) == "bad_login"
    by_password = frames.Login(0, new(), "gone", "a good password")
    assert code_of(_reply(world, world.checked(by_password))) == "bad_login"
    assert code_of(world.ask(frames.Resume(0, new(), gone.token))) == "expired"
    for frame in (
        frames.Say(0, new(), "@gone", "hello"),
        frames.Say(0, new(), "@1:2", "hello"),
        frames.Invite(0, new(), "den", "gone"),
        frames.Block(0, new(), "gone"),
        frames.Promote(0, new(), "gone", key=OPERATOR_KEY),
    ):
        assert code_of(world.ask(frame, alice)) == "no_such_person"


def _reply(world: World, *inputs: object) -> frames.Frame:
    reply = world.turn(*inputs)[0].reply  # type: ignore[arg-type]
    assert isinstance(reply, frames.Frame)
    return reply


def test_who_is_muted_cannot_write_by_taking_back_what_they_said() -> None:
    """“Mute lets read but not write.”"""
    world = World()
    alice, bob = world.account("alice", "den"), world.account("bob", "den")
    seq = world.say(bob, "den", "hello")
    world.ask(frames.Mute(0, new(), "den", "bob"), alice)
    loud = frames.Delete(0, new(), "den", seq, "read this")
    assert code_of(world.ask(loud, bob)) == "muted"
    assert isinstance(world.ask(frames.Delete(0, new(), "den", seq), bob), Ok)


# --- operators of the cluster -----------------------------------------------------------------


def test_only_the_whole_key_makes_an_operator() -> None:
    """“By an operator, or by whoever has the key.”"""
    world = World()
    eve = world.account("eve")
    guesses = (OPERATOR_KEY[:-1], OPERATOR_KEY + " ", OPERATOR_KEY.upper(), "ü", "\0")
    for key in ("", *guesses):
        for name in ("eve", "nobody"):  # and whether there is such a person is not told
            frame = frames.Promote(0, new(), name, key=key)
            assert code_of(world.ask(frame, eve)) == "not_allowed"
    assert not world.state.people[eve.sender].is_operator
    guest = world.person("guest")
    by_guest = frames.Promote(0, new(), "guest", key=OPERATOR_KEY)
    assert code_of(world.ask(by_guest, guest)) == "not_allowed"
    chief = world.account("chief", operator=True)
    with_a_guess = frames.Promote(0, new(), "eve", key="guess")
    assert code_of(world.ask(with_a_guess, chief)) == "not_allowed"


def test_operators_of_the_cluster_do_not_read_private_rooms() -> None:
    """“They cannot read private rooms”; to make one public is seen in it, and noted."""
    world = World()
    alice, chief = world.account("alice"), world.account("chief", operator=True)
    world.ask(frames.Join(0, new(), "den", private=True), alice)
    world.say(alice, "den", "among us")
    reading = (
        frames.Join(0, new(), "den"),
        frames.History(0, "den"),
        frames.Members(0, "den"),
        frames.Search(0, "us in:den"),
        frames.Invite(0, new(), "den", "chief"),
        frames.Role(0, new(), "den", "chief", "owner"),
    )
    for frame in reading:
        assert isinstance(world.ask(frame, chief), Error)
    world.ask(frames.Visibility(0, new(), "den", False), chief)
    assert kind_of(world, "den") is RoomKind.PUBLIC
    assert (events(world)[-1].kind, events(world)[-1].name) == ("public", "chief")
    assert [(row.by_name, row.action, row.target) for row in world.last.audit] == [
        ("chief", "public", "den")
    ]


def test_what_an_operator_of_the_cluster_deletes_is_noted() -> None:
    """“Every such act in an audit log.”"""
    world = World()
    alice, chief = world.account("alice", "den"), world.account("chief", "den", operator=True)
    theirs, own = world.say(alice, "den", "hello"), world.say(chief, "den", "hello")
    world.ask(frames.Delete(0, new(), "den", own), chief)
    assert world.last.audit == []
    world.ask(frames.Delete(0, new(), "den", theirs, "spam"), chief)
    (row,) = world.last.audit
    assert (row.by_name, row.action, row.target, row.text) == (
        *("chief", "delete"),
        f"den {theirs}",
        "spam",
    )


def test_in_a_conversation_nobody_deletes_what_the_other_said() -> None:
    """“A conversation of two has no operators.”"""
    world = World()
    alice, chief = world.account("alice"), world.account("chief", operator=True)
    seq = world.say(alice, "@chief", "hello")
    delete = frames.Delete(0, new(), "@alice", seq)
    assert code_of(world.ask(delete, chief)) == "not_allowed"


def test_addresses_are_shown_to_operators_of_the_cluster_alone() -> None:
    """“Operator of the cluster: see addresses”; not any more, when that ended in the same turn."""
    world = World()
    world.person("far", address="198.51.100.9")
    chief, eve = world.account("chief", operator=True), world.account("eve")
    look, end = frames.Peers(0), frames.Promote(0, new(), "chief", on=False)
    seen = [_reply(world, world.task(look, person)) for person in (chief, eve)]
    seen.append(_reply(world, world.task(look, chief), world.task(end, chief)))
    addresses = [
        {peer.address for peer in reply.peers}
        for reply in seen
        if isinstance(reply, frames.PeerList)
    ]
    assert addresses == [{"", "198.51.100.9"}, {""}, {""}]


# --- what opens a room ------------------------------------------------------------------------


def test_an_invitation_of_a_plain_member_does_not_outlast_the_room_being_public() -> None:
    """Inviting into a private room takes an operator of it, also when it was public just now."""
    world = World()
    alice = world.account("alice", "den")
    bob, carol, dave = world.account("bob", "den"), world.account("carol"), world.account("dave")
    world.ask(frames.Invite(0, new(), "den", "carol"), bob)
    world.ask(frames.Invite(0, new(), "den", "dave"), alice)
    world.ask(frames.Visibility(0, new(), "den", True), alice)
    assert code_of(world.ask(frames.Join(0, new(), "den"), carol)) == "not_allowed"
    assert isinstance(world.ask(frames.Join(0, new(), "den"), dave), Roster)


def test_an_invitation_is_used_up_and_ends_with_a_ban() -> None:
    """“Joining uses it up.”"""
    world = World()
    alice, bob = world.account("alice"), world.account("bob")
    world.ask(frames.Join(0, new(), "den", private=True), alice)
    for lost in (frames.Kick(0, new(), "den", "bob"), frames.Leave(0, new(), "den")):
        world.ask(frames.Invite(0, new(), "den", "bob"), alice)
        assert isinstance(world.ask(frames.Join(0, new(), "den"), bob), Roster)
        world.ask(lost, alice if isinstance(lost, frames.Kick) else bob)
        assert code_of(world.ask(frames.Join(0, new(), "den"), bob)) == "not_allowed"
    world.ask(frames.Invite(0, new(), "den", "bob"), alice)
    world.ask(frames.Ban(0, new(), "den", "bob"), alice)
    assert code_of(world.ask(frames.Join(0, new(), "den"), bob)) == "banned"
    world.ask(frames.Unban(0, new(), "den", "bob"), alice)
    assert code_of(world.ask(frames.Join(0, new(), "den"), bob)) == "not_allowed"


def test_a_guest_that_is_banned_does_not_come_back_under_another_name() -> None:
    """“A guest's place with them”: another guest from there is kept out of all that is shown."""
    world = World()
    alice = world.account("alice", "den")
    pest = world.person("pest", "den", address="203.0.113.7")
    world.ask(frames.Ban(0, new(), "den", "pest"), alice)
    world.ask(frames.Bye(0, new()), pest)
    again = world.person("lamb", address="203.0.113.7")
    for frame in (frames.Join(0, new(), "den"), frames.History(0, "den"), frames.Members(0, "den")):
        assert code_of(world.ask(frame, again)) == "banned"
    listed = world.ask(frames.Rooms(0), again)
    assert isinstance(listed, frames.RoomList)
    assert listed.rooms == []
    world.turn(world.task(frames.Search(0, "hello"), again))
    assert world.last.searches[0].barred == {world.state.room_keys["den"]}
    assert isinstance(world.ask(frames.Join(0, new(), "den"), world.person("other")), Roster)


def test_a_list_does_not_tell_of_rooms_that_are_not_in_it() -> None:
    """“Not in the directory”: `more` is told of a room that would be shown next, of no other."""
    told = []
    for hidden in ("zoo", "attic"):
        world = World()
        alice, eve = world.account("alice", "den"), world.account("eve")
        world.ask(frames.Join(0, new(), hidden, private=True), alice)
        asks = [frames.Rooms(0, limit=1), frames.Rooms(0, search="o"), frames.Rooms(0, "den", 1)]
        told.append([world.ask(frame, eve) for frame in asks])
    assert told[0] == told[1]
    assert told[0][0] == frames.RoomList(0, [frames.RoomInfo("den", 1, 1)])


def test_a_list_is_no_longer_than_was_asked_and_says_what_follows() -> None:
    """“`more`: ask again with `after` = the last name.”"""
    world = World()
    world.account("alice", "den", "yard")
    listed = world.ask(frames.Rooms(0, limit=1), world.account("eve"))
    assert listed == frames.RoomList(0, [frames.RoomInfo("den", 1, 1)], True)


def test_leaving_does_not_tell_how_a_private_room_is_written() -> None:
    """A refusal, or none: nothing is told of a room that one is not in."""
    world = World()
    alice, eve = world.account("alice"), world.account("eve")
    world.ask(frames.Join(0, new(), "Den", private=True), alice)
    leave = frames.Leave(0, new(), "dEN")
    for _ in range(2):  # the second time it is answered again
        reply = world.ask(leave, eve)
        assert isinstance(reply, Ok)
        assert reply.room in ("dEN", "")


def test_resuming_tells_nothing_of_rooms_that_one_is_not_in() -> None:
    """A cursor above the head is refused with the head: to those who may know it."""
    world = World()
    alice, eve = world.account("alice"), world.account("eve", "lobby")
    world.ask(frames.Join(0, new(), "den", private=True), alice)
    welcome = world.ask(frames.Resume(0, new(), eve.token, 7, {"den": 99, "nothing": 99}))
    assert isinstance(welcome, Welcome)
    error = world.ask(frames.Resume(0, new(), welcome.token, 7, {"lobby": 99}))
    assert isinstance(error, Error)
    assert (error.code, error.head) == ("epoch_changed", 1)


# --- old answers ------------------------------------------------------------------------------


def answered_before(world: World, person: Person) -> list[tuple[ClientFrame, frames.Frame]]:
    """Requests that change something, and how they were answered."""
    asks: list[ClientFrame] = [
        frames.Say(0, os.urandom(16), "den", "hello"),
        frames.Topic(0, os.urandom(16), "den", "title"),
        frames.Leave(0, os.urandom(16), "attic"),
    ]
    return [(frame, world.ask(frame, person)) for frame in asks]


@pytest.mark.parametrize("how", ["kicked", "banned", "suspended", "logged out"])
def test_asked_again_after_one_was_put_out_an_answer_shows_nothing_new(how: str) -> None:
    """“What is done is done, whoever has the session by now”: that, and not what came since."""
    world = World()
    alice, chief = world.account("alice"), world.account("chief", operator=True)
    world.ask(frames.Join(0, new(), "den", private=True), alice)
    bob = world.account("bob", "attic")
    world.ask(frames.Invite(0, new(), "den", "bob"), alice)
    join = frames.Join(0, new(), "den")
    world.ask(join, bob)
    world.ask(frames.Role(0, new(), "den", "bob", "operator"), alice)
    before = answered_before(world, bob)
    assert not [reply for _, reply in before if isinstance(reply, Error)]
    put_out: dict[str, tuple[ClientFrame, Person]] = {
        "kicked": (frames.Kick(0, new(), "den", "bob"), alice),
        "banned": (frames.Ban(0, new(), "den", "bob"), alice),
        "suspended": (frames.Suspend(0, new(), "bob"), chief),
        "logged out": (frames.Bye(0, new()), bob),
    }
    assert isinstance(world.ask(*put_out[how]), Ok)
    world.say(alice, "den", "he is gone")
    for frame, reply in before:
        assert world.ask(frame, bob) in (reply, Ok(0, at=reply.at))  # type: ignore[attr-defined]
    answer = world.turn(world.task(join, bob, snapshot=True))[0]
    assert answer.reply == Roster(0, "den", 0, epoch=7)
    assert (answer.rooms, answer.inside) == ([], False)


def test_a_join_asked_again_in_the_turn_of_the_kick_shows_nothing() -> None:
    """The answer is made when the turn is over."""
    world = World()
    alice, bob = world.account("alice", "den"), world.account("bob")
    answer, _ = world.turn(
        world.task(frames.Join(0, new(), "den"), bob, snapshot=True),
        world.task(frames.Kick(0, new(), "den", "bob"), alice),
    )
    assert (answer.reply, answer.inside) == (Roster(0, "den", 0, epoch=7), False)
    assert [item.kind for item in world.items].count(Kind.MEMBER_OUT) == 1
