"""Guests and accounts: begun, logged in, changed, suspended, deleted; their devices."""

from __future__ import annotations

from hubbub import frames
from hubbub.frames import (
    DeviceList,
    Devices,
    Granted,
    Hello,
    Login,
    Nick,
    Ok,
    Passwd,
    Resume,
    Revoke,
    Suspend,
    Unregister,
    Welcome,
)
from hubbub.names import skeleton
from hubbub.wire import Kind
from tests.unit.worker.looking import endings, log, new, of_kind, rooms_of
from tests.unit.worker.world import Person, World, code_of
from worker.accounts import MOST_SESSIONS

DAY = 24 * 3600 * 1000


def passwd(world: World, person: Person, id: bytes = b"p" * 16, ok: bool = True) -> frames.Frame:
    """Change a password; `ok`: the old one is right."""
    frame = Passwd(0, id, "a good password", "another one")
    reply = world.turn(world.checked(frame, person, ok=ok))[0].reply
    assert isinstance(reply, frames.Frame)
    return reply


def by_token(world: World, token: str, gateway: str = "g2") -> frames.Frame:
    """The reply to a login by the token of a device."""
    return world.ask(Login(0, new(), token=token), gateway=gateway)


def devices(world: World, person: Person) -> list[frames.Device]:
    """Where somebody is logged in, as they are told."""
    listed = world.ask(Devices(0), person)
    assert isinstance(listed, DeviceList)
    return listed.devices


# --- registering ------------------------------------------------------------------------------


def test_a_guest_that_registers_keeps_name_sender_and_rooms() -> None:
    """“A guest may turn into an account and keeps the name”; “sender is kept from the guest.”"""
    world = World()
    alice = world.person("alice", "lobby", "den")
    device = world.register(alice)
    again = world.login("alice", gateway="g2")
    assert (again.sender, again.name) == (alice.sender, "alice")
    assert rooms_of(world, alice) == {"lobby", "den"}
    assert again.welcome.account
    assert world.person("bob", "lobby").welcome.account is False
    assert isinstance(by_token(world, device), Welcome)


def test_whoever_has_an_account_cannot_make_one() -> None:
    """“make an account of the guest”"""
    world = World()
    alice = world.account("alice")
    reply = world.turn(world.checked(frames.Register(0, new(), "x"), alice))[0].reply
    assert isinstance(reply, frames.Error)
    assert reply.code == "not_allowed"


def test_a_registration_asked_again_gives_a_token_that_works_and_one_account() -> None:
    """“Asked again, another one, since the first got lost.”"""
    world = World()
    alice = world.person("alice")
    frame = frames.Register(0, new(), "a good password")
    first, second = (world.turn(world.checked(frame, alice))[0].reply for _ in range(2))
    assert isinstance(first, Granted)
    assert isinstance(second, Granted)
    assert code_of(by_token(world, first.device)) == "bad_login"
    assert isinstance(by_token(world, second.device), Welcome)
    assert world.state.accounts == 1
    assert len(world.state.devices) == 1


def test_an_account_stays_in_its_rooms_and_a_guest_does_not() -> None:
    """“An account belongs to its rooms until it leaves them”; a guest's end with the goodbye."""
    world = World()
    alice, bob = world.account("alice", "lobby"), world.person("bob", "lobby")
    for person in (alice, bob):
        world.ask(frames.Bye(0, new()), person)
    assert rooms_of(world, alice) == {"lobby"}
    assert world.state.rooms[1].members == {alice.sender}
    assert not world.state.rooms[1].roster
    assert bob.sender not in world.state.people


# --- names ------------------------------------------------------------------------------------


def test_nobody_else_takes_an_accounts_name_nor_one_that_looks_like_it() -> None:
    """“Impersonated” nobody expects to be; the name is theirs while they are away, too."""
    world = World()
    alice = world.account("Alice")
    world.ask(frames.Bye(0, new()), alice)
    carol = world.person("carol")
    for name in ("alice", "ALICE", "a1ice", "aIice"):
        assert code_of(world.ask(Hello(0, new(), name))) == "name_taken", name
        assert code_of(world.ask(Nick(0, new(), name), carol)) == "name_taken", name


def test_a_name_written_otherwise_is_protected_as_it_is_written_now() -> None:
    """Ɖ and ɖ are one name to compare, and look like different ones."""
    world = World()
    person = world.person("\u0189")
    assert isinstance(world.ask(Nick(0, new(), "\u0256"), person), Ok)
    assert set(world.state.skeletons) == {skeleton("\u0256")}


# --- logging in -------------------------------------------------------------------------------


def test_two_devices_on_two_gateways_are_in_the_same_rooms() -> None:
    """“All sessions of an account are in all its rooms.”"""
    world = World()
    alice = world.account("alice", "lobby", "den", gateway="g1")
    other = world.login("alice", gateway="g2")
    assert [room.room for room in other.welcome.rooms] == ["lobby", "den"]
    world.ask(frames.Join(0, new(), "attic"), other)
    (entered,) = of_kind(world, Kind.MEMBER_IN)
    assert (entered.sender, entered.seq) == (alice.sender, other.session)
    world.ask(frames.Leave(0, new(), "den"), alice)
    (left,) = of_kind(world, Kind.MEMBER_OUT)
    assert (left.sender, left.seq) == (alice.sender, alice.session)
    assert rooms_of(world, alice) == {"lobby", "attic"}


def test_a_second_device_is_one_person_in_the_roster() -> None:
    """“Presence is per person, aggregated over visible sessions.”"""
    world = World()
    alice = world.account("alice", "lobby")
    other = world.login("alice", gateway="g2")
    assert world.told() == []
    world.ask(frames.Away(0, new(), "busy", "lunch"), other)
    assert world.told() == []  # the first one is here
    world.ask(frames.Bye(0, new()), alice)
    assert world.told() == [("state", "alice", "busy")]


def test_a_wrong_password_and_a_name_that_nobody_has_are_refused_alike() -> None:
    """“Clear refusals”, that do not tell which names there are."""
    world = World()
    world.account("alice")
    world.person("guest")
    replies = []
    for name, right in (("alice", False), ("nobody", True), ("guest", True)):
        checked = world.checked(Login(0, new(), name, "x"), ok=right)
        replies.append(world.turn(checked)[0].reply)
    assert len(set(replies)) == 1
    assert isinstance(replies[0], frames.Error)
    assert replies[0].code == "bad_login"


def test_a_password_that_was_changed_meanwhile_is_void() -> None:
    """“If the account has another by now, the check is void.”"""
    world = World()
    alice = world.account("alice")
    late = world.checked(Login(0, new(), "alice", "a good password"))
    passwd(world, alice)
    reply = world.turn(late)[0].reply
    assert isinstance(reply, frames.Error)
    assert reply.code == "bad_login"


def test_a_login_asked_again_is_the_same_session() -> None:
    """“A repeated hello returns the same session”, and so does a login."""
    world = World()
    alice = world.account("alice")
    frame = Login(0, new(), "alice", "a good password")
    one, two = (Person("g2", world.turn(world.checked(frame))[0]) for _ in range(2))
    assert (one.session, two.generation) == (two.session, one.generation + 1)
    assert code_of(by_token(world, one.device)) == "bad_login"
    assert isinstance(by_token(world, two.device), Welcome)
    assert len(devices(world, alice)) == 2


def test_a_login_too_many_makes_no_device_and_forgets_none() -> None:
    """“The handlers check everything before they change anything.”"""
    world = World()
    rita = world.person("rita")
    token = world.register(rita)
    for _ in range(MOST_SESSIONS - 1):
        assert isinstance(by_token(world, token), Welcome)
    before = devices(world, rita)
    for _ in range(3):
        reply = world.turn(world.checked(Login(0, new(), "rita", "a good password")))[0].reply
        assert isinstance(reply, frames.Error)
        assert reply.code == "limit"
    assert devices(world, rita) == before


def test_the_id_of_another_greeting_is_a_conflict() -> None:
    """“The same id with another body is `conflict`.”"""
    world = World()
    world.account("alice")
    hello = Hello(0, new(), "bob")
    world.ask(hello)
    sessions = set(world.state.sessions)
    checked = world.checked(Login(0, hello.id, "alice", "a good password"))
    reply = world.turn(checked)[0].reply
    assert isinstance(reply, frames.Error)
    assert reply.code == "conflict"
    assert set(world.state.sessions) == sessions
    assert isinstance(world.ask(hello), Welcome)


# --- passwords --------------------------------------------------------------------------------


def test_a_new_password_ends_other_sessions_and_forgets_other_devices() -> None:
    """“A password change ends every live session”; one's own goes on, with a new token."""
    world = World()
    alice = world.account("alice", "lobby")
    old = world.register(bob := world.person("bob"))
    other, third = world.login("alice", gateway="g2"), world.login("alice", gateway="g3")
    granted = passwd(world, alice)
    assert isinstance(granted, Granted)
    assert endings(world) == {other.session: "expired", third.session: "expired"}
    assert code_of(world.ask(Resume(0, new(), other.token))) == "expired"
    for token in (other.device, third.device):
        assert code_of(by_token(world, token)) == "bad_login"
    assert isinstance(by_token(world, granted.device), Welcome)
    assert world.say(alice, "lobby", "still here")
    assert isinstance(by_token(world, old), Welcome)  # somebody else's
    assert bob.session in world.state.sessions


def test_a_wrong_old_password_changes_nothing() -> None:
    """“The old one is asked for.”"""
    world = World()
    alice = world.account("alice")
    other = world.login("alice")
    assert code_of(passwd(world, alice, ok=False)) == "bad_login"
    assert (world.items, other.session in world.state.sessions) == ([], True)
    world.login("alice")


def test_a_password_change_asked_again_ends_nothing_more() -> None:
    """A request repeated with its id is done once."""
    world = World()
    alice = world.account("alice")
    passwd(world, alice)
    other = world.login("alice", gateway="g2")
    assert isinstance(passwd(world, alice), Granted)
    assert other.session in world.state.sessions


# --- devices ----------------------------------------------------------------------------------


def test_devices_are_listed_and_one_can_be_logged_out() -> None:
    """“Tokens per device, listed and revocable.”"""
    world = World()
    alice = world.account("alice")
    other = world.login("alice", gateway="g2")
    first, second = devices(world, alice)
    assert (first.current, second.current) == (True, False)
    assert isinstance(world.ask(Revoke(0, new(), second.device), alice), Ok)
    assert endings(world) == {other.session: "expired"}
    assert code_of(by_token(world, other.device)) == "bad_login"
    assert [each.device for each in devices(world, alice)] == [first.device]


def test_whoever_logs_the_own_device_out_is_out_too_and_the_other_devices_are_not() -> None:
    """“Forget a device and end its sessions.”"""
    world = World()
    alice = world.account("alice", "lobby")
    second = world.login("alice", gateway="g2")
    assert isinstance(world.ask(Revoke(0, new()), second), Ok)
    assert endings(world) == {second.session: "expired"}
    assert code_of(world.ask(frames.Say(0, new(), "lobby", "hello"), second)) == "expired"
    assert code_of(world.ask(Resume(0, new(), second.token))) == "expired"
    assert code_of(by_token(world, second.device)) == "bad_login"
    assert world.say(alice, "lobby", "hello")
    assert [each.current for each in devices(world, alice)].count(True) == 1


def test_nobody_logs_out_somebody_elses_device() -> None:
    """“Ids in a frame are bound to the authenticated session.”"""
    world = World()
    alice, bob = world.account("alice"), world.account("bob")
    theirs = devices(world, bob)[0].device
    assert code_of(world.ask(Revoke(0, new(), theirs), alice)) == "not_allowed"
    assert len(devices(world, bob)) == 1


# --- suspension -------------------------------------------------------------------------------


def reasons(world: World) -> list[str]:
    """Why somebody left, as those who were with them are told, in the last turn."""
    items = [item for item in world.items if item.kind == Kind.PRESENCE]
    told = [frames.server_decoder.decode(item.body) for item in items]
    return [each.why for each in told if isinstance(each, frames.Presence)]


def test_what_ends_a_session_is_told_to_its_owner_and_no_more_than_that_to_others() -> None:
    """“What the person is told” is for nobody else."""
    world = World()
    op = world.account("op", operator=True)
    world.account("alice", "lobby")
    hidden = Login(0, new(), "alice", "a good password", visible=False)
    unseen = Person("g1", world.turn(world.checked(hidden))[0])
    passwd(world, unseen)
    assert reasons(world) == ["logged out"]
    world.login("alice")
    world.ask(Suspend(0, new(), "alice", "wrote spam to carol", 60), op)
    assert reasons(world) == ["suspended"]


def test_a_suspension_ends_every_session_and_keeps_the_account_out() -> None:
    """“A suspension ends every live session on every gateway.”"""
    world = World()
    op = world.account("op", operator=True)
    alice = world.account("alice", "lobby")
    other = world.login("alice", gateway="g2")
    world.ask(Suspend(0, new(), "alice", "spam", 60), op)
    assert endings(world) == {alice.session: "suspended", other.session: "suspended"}
    for reply in (
        world.turn(world.checked(Login(0, new(), "alice", "a good password")))[0].reply,
        by_token(world, other.device),
    ):
        assert isinstance(reply, frames.Error)
        assert (reply.code, reply.text) == ("suspended", "this account is suspended: spam")
    assert rooms_of(world, alice) == {"lobby"}  # members they stay
    world.at += 60_000
    assert world.login("alice").sender == alice.sender


def test_a_suspension_that_is_taken_back_lets_them_in() -> None:
    """“or let it in again”"""
    world = World()
    op, alice = world.account("op", operator=True), world.account("alice")
    world.ask(Suspend(0, new(), "alice"), op)
    world.ask(Suspend(0, new(), "alice", on=False), op)
    assert world.login("alice").sender == alice.sender


# --- deletion ---------------------------------------------------------------------------------


def unregister(world: World, person: Person) -> None:
    """Delete an account."""
    reply = world.turn(world.checked(Unregister(0, new(), "a good password"), person))[0].reply
    assert isinstance(reply, Ok)


def test_a_deleted_account_leaves_its_rooms_and_what_it_said_stays() -> None:
    """“Its rooms are left, its sessions end. What was said stays.”"""
    world = World()
    bob = world.account("bob", "lobby")
    alice = world.account("alice", "lobby")
    other = world.login("alice", gateway="g2")
    world.say(alice, "lobby", "hello")
    unregister(world, alice)
    assert endings(world) == {other.session: "expired"}
    assert world.state.rooms[1].members == {bob.sender}
    texts = [each.text for each in log(world) if isinstance(each, frames.Message)]
    assert (texts, log(world)[-1].name) == (["hello"], "alice")
    assert code_of(by_token(world, other.device)) == "bad_login"
    assert world.state.accounts == 1
    assert code_of(world.ask(frames.Kick(0, new(), "lobby", "alice"), bob)) == "no_such_person"


def test_the_name_of_a_deleted_account_is_kept_from_others_for_30_days() -> None:
    """“The name is kept from others for 30 days.”"""
    world = World()
    alice = world.account("alice")
    unregister(world, alice)
    world.at += 30 * DAY - 1
    taken = world.ask(Hello(0, new(), "alice"))
    assert code_of(taken) == "name_taken"
    assert isinstance(taken, frames.Error)
    assert "was given up" in taken.text  # nobody can log in to it
    assert "log in" not in taken.text
    assert code_of(world.ask(Hello(0, new(), "a1ice"))) == "name_taken"
    world.at += 1
    assert world.person("alice").sender != alice.sender
