"""Who may do what: one table, deny by default. docs/authorisation.md is made from it.

What a frame asks for is an action; what somebody is to the cluster and to the room is a role. An
action is judged by all roles of whoever asks: one that the row names is enough. Ids in a frame are
bound to the session that asks before this is looked at.
"""

from __future__ import annotations

import enum

from hubbub.errors import Code, Refused


class Role(enum.Enum):
    """What somebody is, to the cluster and to a room."""

    GATEWAY = "gateway"  # no session: the gateway process itself, or somebody it has not let in yet
    GUEST = "guest"
    ACCOUNT = "account"
    CLUSTER_OPERATOR = "cluster operator"
    SUSPENDED = "suspended"  # an account that is shut out; nothing else counts
    OWNER = "owner"
    OPERATOR = "operator"
    MEMBER = "member"
    MUTED = "muted"  # a member that may not write
    INVITED = "invited"
    EX_MEMBER = "ex-member"
    STRANGER = "stranger"
    BANNED = "banned"


class Action(enum.Enum):
    """What can be asked for; the text names it in docs/authorisation.md."""

    BEGIN = "begin or resume a session"
    END = "end one's session"
    PING = "ping"
    FETCH = "read a log for its people (gateways)"
    REGISTER = "make an account of the guest"
    OWN_ACCOUNT = "change password, list and revoke devices, delete the account"
    PERSONAL = "change name, say how one is, block people"
    LOOK_AROUND = "list rooms, people, what is unread; the cluster's status; search"
    MAKE_ROOM = "make a public room by joining it"
    MAKE_PRIVATE_ROOM = "make a private room"
    WRITE_TO_PERSON = "begin a conversation of two"
    OPERATE = "suspend, rename, close, announce, promote, read the audit log, see addresses"
    JOIN_PUBLIC = "enter a public room"
    JOIN_PRIVATE = "enter a private room"
    LEAVE = "leave a room"
    READ_PUBLIC = "read a public room: live, history, search, members, its title"
    READ_PRIVATE = "read a private room or conversation: the same"
    SEE_PRIVATE = "see that a private room exists, in the directory"
    SAY = "say, reply, edit one's own, react"
    TYPE = "show that one is typing"
    DELETE_OWN = "delete what one has said"
    DELETE_OTHERS = "delete what others have said"
    MARK_READ = "move one's read mark"
    TITLE = "give the room another title"
    VISIBILITY = "make the room private or public"
    INVITE_PUBLIC = "invite into a public room"
    INVITE_PRIVATE = "invite into a private room"
    KICK = "put somebody out of the room"
    BAN = "ban and unban"
    MUTE = "mute and unmute"
    RANK = "make a member owner, operator or plain member"
    RESTRICTIONS = "list bans and mutes"


STAFF = frozenset({Role.OWNER, Role.OPERATOR})  # of a room
_ANY = frozenset(Role)
_PEOPLE = frozenset({Role.GUEST, Role.ACCOUNT})
_OPERATORS = frozenset({Role.CLUSTER_OPERATOR})
_OWNER = frozenset({Role.OWNER})
_WRITERS = STAFF | {Role.MEMBER}
_INSIDE = _WRITERS | {Role.MUTED}
_UNASKED = frozenset({Role.EX_MEMBER, Role.STRANGER})
_OUTSIDE = _UNASKED | {Role.INVITED}

TABLE: dict[Action, frozenset[Role]] = {
    Action.BEGIN: frozenset({Role.GATEWAY}),
    Action.END: _ANY - {Role.GATEWAY},
    Action.PING: _ANY,
    Action.FETCH: frozenset({Role.GATEWAY}),
    Action.REGISTER: frozenset({Role.GUEST}),
    Action.OWN_ACCOUNT: frozenset({Role.ACCOUNT}),
    Action.PERSONAL: _PEOPLE,
    Action.LOOK_AROUND: _PEOPLE,
    Action.MAKE_ROOM: _PEOPLE,
    Action.MAKE_PRIVATE_ROOM: frozenset({Role.ACCOUNT}),
    Action.WRITE_TO_PERSON: _PEOPLE,
    Action.OPERATE: _OPERATORS,
    Action.JOIN_PUBLIC: _INSIDE | _OUTSIDE,
    Action.JOIN_PRIVATE: _INSIDE | {Role.INVITED},
    Action.LEAVE: _INSIDE | _OUTSIDE | {Role.BANNED},
    Action.READ_PUBLIC: _INSIDE | _OUTSIDE,
    Action.READ_PRIVATE: _INSIDE,
    Action.SEE_PRIVATE: _INSIDE | {Role.INVITED} | _OPERATORS,
    Action.SAY: _WRITERS,
    Action.TYPE: _INSIDE,
    Action.DELETE_OWN: _INSIDE | _OPERATORS,
    Action.DELETE_OTHERS: STAFF | _OPERATORS,
    Action.MARK_READ: _INSIDE,
    Action.TITLE: STAFF | _OPERATORS,
    Action.VISIBILITY: _OWNER | _OPERATORS,
    Action.INVITE_PUBLIC: _WRITERS,
    Action.INVITE_PRIVATE: STAFF,
    Action.KICK: STAFF | _OPERATORS,
    Action.BAN: STAFF | _OPERATORS,
    Action.MUTE: STAFF | _OPERATORS,
    Action.RANK: _OWNER | _OPERATORS,
    Action.RESTRICTIONS: STAFF | _OPERATORS,
}

# Those that are judged by what somebody is to the room; the others by what they are to the cluster.
ROOM_ACTIONS = frozenset(list(Action)[list(Action).index(Action.JOIN_PUBLIC) :])


def allows(action: Action, roles: frozenset[Role]) -> bool:
    """Whether the table lets any of the roles do it."""
    return not roles.isdisjoint(TABLE.get(action, frozenset()))


def check(action: Action, roles: frozenset[Role], room: str = "") -> None:
    """Pass if the table has it.

    Args:
        roles: all that whoever asks is.
        room: its name, for the sentence.

    Raises:
        Refused: it has not; with what can be done about it where something can.
    """
    if not allows(action, roles):
        raise _refusal(action, roles, room)


def _refusal(action: Action, roles: frozenset[Role], room: str) -> Refused:
    allowed = TABLE.get(action, frozenset())
    if Role.GATEWAY in roles:
        return Refused(Code.WRONG_TIME, "say hello first")
    if Role.SUSPENDED in roles:
        return Refused(Code.SUSPENDED, "this account is suspended")
    if Role.BANNED in roles:
        return Refused(Code.BANNED, f"you are banned from {room}")
    if Role.MUTED in roles and Role.MEMBER in allowed:
        return Refused(Code.MUTED, f"you are muted in {room}")
    if action is Action.JOIN_PRIVATE or (action is Action.READ_PRIVATE and _UNASKED & roles):
        return Refused(Code.NOT_ALLOWED, f"{room} is private: somebody in it has to invite you")
    if _OUTSIDE & roles and Role.MEMBER in allowed:
        return Refused(Code.NOT_MEMBER, f"join {room} first")
    if allowed == frozenset({Role.ACCOUNT}):
        return Refused(Code.NOT_ALLOWED, "that takes an account: register first")
    if action is Action.REGISTER:
        return Refused(Code.NOT_ALLOWED, "you have an account already")
    if action is Action.OPERATE:
        return Refused(Code.NOT_ALLOWED, "that takes an operator of the cluster")
    if Role.OPERATOR in allowed:
        return Refused(Code.NOT_ALLOWED, f"that takes an operator of {room}")
    if Role.OWNER in allowed:
        return Refused(Code.NOT_ALLOWED, f"that takes the owner of {room}")
    return Refused(Code.NOT_ALLOWED, "that is not allowed here")
