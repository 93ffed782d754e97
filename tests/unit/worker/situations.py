"""People in every role, in and around one room, and every frame as somebody may ask it.

ASKED is the one place that says which action each frame of a client is.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from hubbub import frames
from hubbub.frames import Frame
from hubbub.wire import Fetch, Lost
from tests.unit.worker.world import Person, World
from worker.access import Action, Role
from worker.case import GATEWAY, guest_address, in_room, standing
from worker.lookups import Input
from worker.plan import Plan
from worker.presence import change
from worker.records import FOREVER
from worker.tasks import Checked, Task

ROOM = "den"
SECRET = "xyzzy"  # stands in all that is to be seen by members alone
STANDINGS = (Role.GUEST, Role.ACCOUNT, Role.CLUSTER_OPERATOR)
ROOM_ROLES = (
    *(Role.OWNER, Role.OPERATOR, Role.MEMBER, Role.MUTED),
    *(Role.INVITED, Role.EX_MEMBER, Role.STRANGER, Role.BANNED),
)
# “Only accounts have roles”, and of a guest that went nothing is kept.
NO_GUESTS = frozenset({Role.OWNER, Role.OPERATOR, Role.EX_MEMBER})
Combination: TypeAlias = tuple[Role, Role]  # to the cluster, to the room
COMBINATIONS: list[Combination] = [
    *((to, inside) for to in STANDINGS for inside in ROOM_ROLES),
    (Role.SUSPENDED, Role.OWNER),
    (Role.SUSPENDED, Role.STRANGER),
    (Role.GATEWAY, Role.STRANGER),
]
COMBINATIONS = [
    (to, inside) for to, inside in COMBINATIONS if not (to is Role.GUEST and inside in NO_GUESTS)
]
PLACE = "203.0.113.7"  # of the guest that is looked at; bans of guests hold for it


def new() -> bytes:
    """An id of a request."""
    return os.urandom(16)


class Situation:
    """A room with its people, and one of them, `who`, in a role. Nobody's clock moves."""

    def __init__(self, to: Role, inside: Role, *, private: bool) -> None:
        self.world = world = World()
        self.private = private
        self.owner = world.account("owner")
        world.ask(frames.Join(0, new(), ROOM, private=private), self.owner)
        self.deputy = self._account("deputy")
        self._as_owner(frames.Role(0, new(), ROOM, "deputy", "operator"))
        self.plain = self._account("plain")
        self.outlaw = self._account("outlaw")
        self.hushed = self._account("hushed")
        self.outside = world.account("outside")
        self._as_owner(frames.Ban(0, new(), ROOM, "outlaw"))
        self._as_owner(frames.Mute(0, new(), ROOM, "hushed"))
        self.device_token = world.register(world.person("other"))
        self.theirs = world.say(self.owner, ROOM, f"{SECRET} was said")
        self._as_owner(frames.Topic(0, new(), ROOM, f"{SECRET} is the title"))
        self.mine = self.theirs
        self.who: Person | None = None
        self.roles = GATEWAY
        if to is not Role.GATEWAY:
            self.who = self._begin(to)
            self._become(self.who, inside)
            if to is Role.SUSPENDED:
                self._suspend(self.who)
            self.roles = self._look(self.who)
            expected: set[Role] = {to} if to is Role.SUSPENDED else {to, inside}
            if to is Role.CLUSTER_OPERATOR:
                expected.add(Role.ACCOUNT)
            assert self.roles == frozenset(expected)
        self.head = self.world.state.rooms[self.room_id].head

    @property
    def room_id(self) -> int:
        """The room's."""
        return self.world.state.room_keys[ROOM]

    @property
    def people(self) -> dict[str, Person]:
        """Those around the one that is looked at, by name."""
        around = (self.owner, self.deputy, self.plain, self.outlaw, self.hushed, self.outside)
        return {person.name: person for person in around}

    @property
    def token(self) -> str:
        """With which the one that is looked at resumes."""
        assert self.who is not None
        return self.who.token

    def copy(self) -> Situation:
        """The same once more, to try something else in it."""
        return copy.deepcopy(self)

    # --- how it comes about ---------------------------------------------------------------

    def _as_owner(self, frame: Frame) -> None:
        reply = self.world.ask(frame, self.owner)  # type: ignore[arg-type]
        assert isinstance(reply, frames.Ok), reply

    def _account(self, name: str) -> Person:
        person = self.world.account(name)
        self._let_in(person)
        return person

    def _let_in(self, person: Person) -> None:
        if self.private:
            self._as_owner(frames.Invite(0, new(), ROOM, person.name))
        reply = self.world.ask(frames.Join(0, new(), ROOM), person)
        assert isinstance(reply, frames.Roster), reply

    def _begin(self, to: Role) -> Person:
        if to is Role.GUEST:
            return self.world.person("who", address=PLACE)
        return self.world.account("who", operator=to is Role.CLUSTER_OPERATOR)

    def _become(self, who: Person, role: Role) -> None:
        if role is Role.INVITED:
            self._as_owner(frames.Invite(0, new(), ROOM, "who"))
        if role in (Role.INVITED, Role.STRANGER):
            return
        self._let_in(who)
        self.mine = self.world.say(who, ROOM, "of who asks")
        if role in (Role.OWNER, Role.OPERATOR):
            self._as_owner(frames.Role(0, new(), ROOM, "who", role.value))
        elif role is Role.EX_MEMBER:
            self.world.ask(frames.Leave(0, new(), ROOM), who)
        elif role in (Role.MUTED, Role.BANNED):
            # The owner may not touch an operator of the cluster; another one may.
            chief = self.world.account("chief", operator=True)
            kind = frames.Mute if role is Role.MUTED else frames.Ban
            reply = self.world.ask(kind(0, new(), ROOM, "who"), chief)
            assert isinstance(reply, frames.Ok), reply

    def _suspend(self, who: Person) -> None:
        # By `suspend` every session ends, too. Here it lives on: the table must hold by itself.
        person = self.world.state.people[who.sender]
        assert person.account is not None
        account = change(person.account, suspended_until=FOREVER)
        self.world.state.put_person(change(person, account=account))

    def _look(self, who: Person) -> frozenset[Role]:
        state, at = self.world.state, self.world.at
        person, session = state.people[who.sender], state.sessions[who.session]
        address = guest_address(person, session, self.world.settings)
        return standing(person, at) | in_room(at, person, state.rooms[self.room_id], address)

    # --- asking ---------------------------------------------------------------------------

    def task(self, frame: frames.ClientFrame | Lost | Fetch) -> Task:
        """An ask of the one that is looked at."""
        return self.world.task(frame, self.who)

    def checked(self, frame: frames.ClientFrame) -> Checked:
        """One with the right password in it."""
        return self.world.checked(frame, self.who)

    def device(self) -> int:
        """The device of the one that is looked at; another's, if they have none."""
        who = self.who or self.plain
        devices = self.world.state.devices_of
        return min(devices.get(who.sender) or devices[self.plain.sender])


def touched(plan: Plan) -> list[str]:
    """What a plan changes, tells or reads, by the names of its parts."""
    parts = (
        *("events", "items", "done", "marks", "mentions", "rewrites", "reactions", "audit"),
        *("devices", "people", "sessions", "names", "room_keys", "readings", "audits", "searches"),
    )
    drafts = ("ranks", "former", "restrictions", "invites", "changed")
    return [
        *(part for part in parts if getattr(plan, part)),
        *(part for draft in plan.drafts.values() for part in drafts if getattr(draft, part)),
    ]


class Asked(NamedTuple):
    """A frame, what it takes, and how it is asked."""

    frame: type
    action: Action
    make: Callable[[Situation], Input]
    where: tuple[bool, ...] = (False, True)  # in a private room?
    # How it shows that it was allowed, where it is not refused otherwise.
    shown: Callable[[Frame], bool] | None = None


def _task(make: Callable[[Situation], frames.ClientFrame | Lost | Fetch]) -> Callable[..., Input]:
    return lambda situation: situation.task(make(situation))


def _checked(frame: Callable[[], frames.ClientFrame]) -> Callable[..., Input]:
    return lambda situation: situation.checked(frame())


def _plain(
    action: Action, make: Callable[[Situation], frames.ClientFrame | Lost | Fetch], kind: type
) -> Asked:
    return Asked(kind, action, _task(make))


def _by_kind(
    public: Action, private: Action, make: Callable[[Situation], frames.ClientFrame], kind: type
) -> list[Asked]:
    return [
        Asked(kind, public, _task(make), (False,)),
        Asked(kind, private, _task(make), (True,)),
    ]


def _lists_the_room(reply: Frame) -> bool:
    assert isinstance(reply, frames.RoomList)
    return ROOM in [info.room for info in reply.rooms]


A = Action
PASSWORD = "a good password"
ASKED: list[Asked] = [
    # To the cluster.
    _plain(A.BEGIN, lambda s: frames.Hello(0, new(), "newcomer"), frames.Hello),
    _plain(A.BEGIN, lambda s: frames.Login(0, new(), token=s.device_token), frames.Login),
    Asked(
        frames.Login,
        A.BEGIN,
        lambda s: s.world.checked(frames.Login(0, new(), "plain", PASSWORD), s.who),
    ),
    _plain(A.BEGIN, lambda s: frames.Resume(0, new(), s.plain.token), frames.Resume),
    _plain(A.END, lambda s: frames.Bye(0, new()), frames.Bye),
    _plain(A.END, lambda s: Lost(), Lost),
    _plain(A.PING, lambda s: frames.Ping(0), frames.Ping),
    _plain(A.FETCH, lambda s: Fetch(s.room_id, 0), Fetch),
    Asked(frames.Register, A.REGISTER, _checked(lambda: frames.Register(0, new(), PASSWORD))),
    Asked(
        frames.Passwd, A.OWN_ACCOUNT, _checked(lambda: frames.Passwd(0, new(), PASSWORD, "other"))
    ),
    Asked(
        frames.Unregister, A.OWN_ACCOUNT, _checked(lambda: frames.Unregister(0, new(), PASSWORD))
    ),
    _plain(A.OWN_ACCOUNT, lambda s: frames.Devices(0), frames.Devices),
    _plain(A.OWN_ACCOUNT, lambda s: frames.Revoke(0, new(), s.device()), frames.Revoke),
    _plain(A.PERSONAL, lambda s: frames.Nick(0, new(), "somebody"), frames.Nick),
    _plain(A.PERSONAL, lambda s: frames.Away(0, new(), "busy"), frames.Away),
    _plain(A.PERSONAL, lambda s: frames.Block(0, new(), "outside"), frames.Block),
    _plain(A.LOOK_AROUND, lambda s: frames.Rooms(0), frames.Rooms),
    _plain(A.LOOK_AROUND, lambda s: frames.Unread(0), frames.Unread),
    _plain(A.LOOK_AROUND, lambda s: frames.Peers(0), frames.Peers),
    _plain(A.LOOK_AROUND, lambda s: frames.Status(0), frames.Status),
    _plain(A.LOOK_AROUND, lambda s: frames.Search(0, SECRET), frames.Search),
    _plain(A.MAKE_ROOM, lambda s: frames.Join(0, new(), "attic"), frames.Join),
    _plain(
        A.MAKE_PRIVATE_ROOM, lambda s: frames.Join(0, new(), "attic", private=True), frames.Join
    ),
    _plain(A.WRITE_TO_PERSON, lambda s: frames.Join(0, new(), "@outside"), frames.Join),
    _plain(A.WRITE_TO_PERSON, lambda s: frames.Say(0, new(), "@outside", "hello"), frames.Say),
    _plain(A.OPERATE, lambda s: frames.Promote(0, new(), "outside"), frames.Promote),
    _plain(A.OPERATE, lambda s: frames.Suspend(0, new(), "outside"), frames.Suspend),
    _plain(A.OPERATE, lambda s: frames.Rename(0, new(), "outside", "inside"), frames.Rename),
    _plain(A.OPERATE, lambda s: frames.Close(0, new(), ROOM), frames.Close),
    _plain(A.OPERATE, lambda s: frames.Announce(0, new(), "hear"), frames.Announce),
    _plain(A.OPERATE, lambda s: frames.Audit(0), frames.Audit),
    # To the room.
    *_by_kind(A.JOIN_PUBLIC, A.JOIN_PRIVATE, lambda s: frames.Join(0, new(), ROOM), frames.Join),
    _plain(A.LEAVE, lambda s: frames.Leave(0, new(), ROOM), frames.Leave),
    *_by_kind(A.READ_PUBLIC, A.READ_PRIVATE, lambda s: frames.History(0, ROOM), frames.History),
    *_by_kind(
        A.READ_PUBLIC, A.READ_PRIVATE, lambda s: frames.Members(0, ROOM, True), frames.Members
    ),
    *_by_kind(
        A.READ_PUBLIC,
        A.READ_PRIVATE,
        lambda s: frames.Search(0, f"{SECRET} in:{ROOM}"),
        frames.Search,
    ),
    Asked(frames.Rooms, A.READ_PUBLIC, _task(lambda s: frames.Rooms(0)), (False,), _lists_the_room),
    Asked(frames.Rooms, A.SEE_PRIVATE, _task(lambda s: frames.Rooms(0)), (True,), _lists_the_room),
    _plain(A.SAY, lambda s: frames.Say(0, new(), ROOM, "hello"), frames.Say),
    _plain(A.SAY, lambda s: frames.Say(0, new(), ROOM, "yes", reply=s.theirs), frames.Say),
    _plain(A.SAY, lambda s: frames.Edit(0, new(), ROOM, s.mine, "hullo"), frames.Edit),
    _plain(A.SAY, lambda s: frames.React(0, new(), ROOM, s.theirs, "+1"), frames.React),
    _plain(A.TYPE, lambda s: frames.Typing(0, ROOM), frames.Typing),
    _plain(A.DELETE_OWN, lambda s: frames.Delete(0, new(), ROOM, s.mine), frames.Delete),
    _plain(A.DELETE_OTHERS, lambda s: frames.Delete(0, new(), ROOM, s.theirs), frames.Delete),
    _plain(A.MARK_READ, lambda s: frames.Read(0, ROOM, s.head), frames.Read),
    _plain(A.TITLE, lambda s: frames.Topic(0, new(), ROOM, "new"), frames.Topic),
    _plain(
        A.VISIBILITY, lambda s: frames.Visibility(0, new(), ROOM, not s.private), frames.Visibility
    ),
    *_by_kind(
        A.INVITE_PUBLIC,
        A.INVITE_PRIVATE,
        lambda s: frames.Invite(0, new(), ROOM, "outside"),
        frames.Invite,
    ),
    _plain(A.KICK, lambda s: frames.Kick(0, new(), ROOM, "plain"), frames.Kick),
    _plain(A.BAN, lambda s: frames.Ban(0, new(), ROOM, "plain"), frames.Ban),
    _plain(A.BAN, lambda s: frames.Unban(0, new(), ROOM, "outlaw"), frames.Unban),
    _plain(A.MUTE, lambda s: frames.Mute(0, new(), ROOM, "plain"), frames.Mute),
    _plain(A.MUTE, lambda s: frames.Mute(0, new(), ROOM, "hushed", on=False), frames.Mute),
    _plain(A.RANK, lambda s: frames.Role(0, new(), ROOM, "plain", "operator"), frames.Role),
    _plain(A.RESTRICTIONS, lambda s: frames.Restrictions(0, ROOM), frames.Restrictions),
]
# Decided by the gateway, which knows who is in a room; the owner takes it from nobody.
AT_THE_GATEWAY = frozenset({frames.Typing})
# What has no session yet, and is taken without a handler of sessions.
GREETINGS = frozenset({frames.Hello, frames.Login, frames.Resume})
