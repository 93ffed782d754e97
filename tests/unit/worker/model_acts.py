"""What each kind of ask leads to in the model of a chat (model.py)."""

from __future__ import annotations

from hubbub import frames
from tests.unit.worker.model import (
    FOREVER,
    MEMBERS,
    STAFF,
    Attached,
    Ban,
    Expected,
    Line,
    Model,
    No,
    Place,
    Somebody,
    direct,
)

INSIDE = (*MEMBERS, "muted")


def ok(model: Model, room: Place | None = None, seq: int = 0) -> Expected:
    """Done."""
    return Expected("ok", room=room.id if room else 0, seq=seq, at=model.at)


# --- in and out -------------------------------------------------------------------------------


def partner(m: Model, by: Somebody, name: str) -> Somebody:
    """The other one of the conversation called `@NAME` or `@LOW:HIGH`."""
    if ":" not in name:
        if m.named(name[1:]) is by:
            raise No("not_allowed")
        return m.who(name[1:])
    pair = [int(each) for each in name[1:].split(":")]
    if by.sender not in pair:
        raise No("no_such_room")
    other = m.people.get(next((each for each in pair if each != by.sender), 0))
    if other is None or other.deleted:
        raise No("no_such_person")
    return other


def conversation(m: Model, by: Somebody, name: str, *, writing: bool) -> Place:
    """A conversation; the first word makes it, for both, and each further one brings both back."""
    other = partner(m, by, name)
    room = m.open_room(direct(by.sender, other.sender))
    both = writing or room is None
    if both:
        unblocked(by, other)
    if room is None:
        room = make(m, direct(by.sender, other.sender), "direct")
    for each in (by, other) if both else (by,):
        if each.sender not in room.members:
            m.enter(room, each)
    return room


def unblocked(by: Somebody, other: Somebody) -> None:
    """“Blocked people get a clear refusal.”"""
    if other.sender in by.blocked or by.sender in other.blocked:
        raise No("not_allowed")


def make(m: Model, name: str, kind: str) -> Place:
    """“Rooms have ids that are never reused.”"""
    room = m.rooms[m.next_room] = Place(m.next_room, name, kind)
    m.next_room += 1
    return room


def join(m: Model, by: Somebody, at: Attached, frame: frames.Join) -> Expected:
    """“Enter a room; one that does not exist is made”, and owned by the account that made it."""
    if frame.room.startswith("@"):
        room = m.find(by, frame.room)
        if room is None or by.sender not in room.members:
            room = conversation(m, by, frame.room, writing=False)
        return Expected("roster", room=room.id)
    found = m.open_room(frame.room)
    if found is None:
        if frame.private and not by.account:
            raise No("not_allowed")
        found = make(m, frame.room, "private" if frame.private else "public")
        m.enter(found, by, "owner" if by.account else "member")
        return Expected("roster", room=found.id)
    standing = m.standing(by, at, found)
    if standing == "banned":
        raise No("banned")
    if found.kind == "private" and standing == "outside":
        raise No("not_allowed")
    if by.sender not in found.members:
        # “Whoever finds a room that everybody has left may have it.”
        m.enter(found, by, "owner" if by.account and not found.members else "member")
    return Expected("roster", room=found.id)


def leave(m: Model, by: Somebody, at: Attached, frame: frames.Leave) -> Expected:
    """“Answered by `ok`, also when one was not in it.”"""
    room = m.find(by, frame.room)
    if room is not None and by.sender in room.members:
        if by.account and room.kind != "direct":
            m.note(room, "parted", by)
        m.part(room, by)
    elif room is not None and room.kind == "private":
        return ok(m)  # nobody outside is told that there is one
    return ok(m, room)


def nick(m: Model, by: Somebody, at: Attached, frame: frames.Nick) -> Expected:
    """“Every room one is seen in gets a `renamed` event.”"""
    rename(m, by, frame.name)
    return ok(m)


def rename(m: Model, who: Somebody, name: str) -> None:
    """Another name."""
    m.free(name, who.sender)
    if name == who.name:
        return
    old, who.name = who.name, name
    if who.account or m.presence(who.sender)[0]:
        for id, room in sorted(m.rooms.items()):
            # By their name the other one knows a conversation, also one that they have left.
            talk = who.sender in room.pair and bool(room.members)
            if id not in m.inside(who.sender) and not talk:
                continue
            line = Line("renamed", who.sender, old, room.count, to=name, whom=who.sender)
            room.log.append(line)


# --- messages ---------------------------------------------------------------------------------


def say(m: Model, by: Somebody, at: Attached, frame: frames.Say) -> Expected:
    """One message."""
    if frame.room.startswith("@"):
        answers(m.find(by, frame.room), frame.reply)
        room: Place | None = conversation(m, by, frame.room, writing=True)
    else:
        room = m.open_room(frame.room)
    if room is None:
        raise No("no_such_room")
    m.need(by, at, room, MEMBERS)
    answers(room, frame.reply)
    mentions = m.named_in(room, frame.text, by.sender)
    room.count += 1
    seq = m.note(room, "message", by, text=frame.text, mentions=mentions, reply=frame.reply)
    m.remember(room, seq, mentions)
    m.mark(room, by.sender, seq, room.count)
    return ok(m, room, seq)


def answers(room: Place | None, reply: int) -> None:
    """Pass if what is answered is a message, also one that has no text any more."""
    if reply and (
        room is None or not 0 < reply <= room.head or room.log[reply - 1].what != "message"
    ):
        raise No("no_such_message")


def original(room: Place, seq: int) -> Line:
    """A message that was not deleted."""
    line = room.log[seq - 1] if 0 < seq <= room.head else None
    if line is None or line.what != "message" or line.deleted:
        raise No("no_such_message")
    return line


def still_open(m: Model, by: Somebody, room: Place) -> None:
    """Whether what is done in a conversation has a reader who takes it."""
    if room.kind == "direct":
        other = m.people.get(next(each for each in room.pair if each != by.sender))
        if other is None or other.deleted:
            raise No("no_such_person")
        unblocked(by, other)


def rewrite(room: Place, seq: int, **more: object) -> None:
    """A message has another text, and that of its last edit stands nowhere any more."""
    line = room.log[seq - 1]
    if line.edited:
        edit = room.log[line.edited - 1]
        room.log[line.edited - 1] = edit._replace(text="", mentions=())
    room.log[seq - 1] = line._replace(**more)  # type: ignore[arg-type]


def edit(m: Model, by: Somebody, at: Attached, frame: frames.Edit) -> Expected:
    """“Edit own, with the original's number.”"""
    room = m.must_find(by, frame.room)
    m.need(by, at, room, MEMBERS)
    still_open(m, by, room)
    line = original(room, frame.seq)
    if line.sender != by.sender:
        raise No("not_allowed")
    mentions = m.named_in(room, frame.text, by.sender)
    seq = m.note(room, "edited", by, of=frame.seq, text=frame.text, mentions=mentions)
    m.remember(room, seq, tuple(each for each in mentions if each not in line.mentions))
    rewrite(room, frame.seq, text=frame.text, mentions=mentions, edited=seq)
    return ok(m, room, seq)


def delete(m: Model, by: Somebody, at: Attached, frame: frames.Delete) -> Expected:
    """“Delete (own; operators may delete).”"""
    room = m.must_find(by, frame.room)
    staff = by.operator or m.standing(by, at, room) in STAFF
    if not staff:
        m.need(by, at, room, MEMBERS if frame.text else INSIDE)  # others read why
    if frame.text:
        still_open(m, by, room)
    line = original(room, frame.seq)
    if line.sender != by.sender and (not staff or room.kind == "direct"):
        raise No("not_allowed")
    seq = m.note(room, "deleted", by, of=frame.seq, text=frame.text)
    rewrite(room, frame.seq, text="", mentions=(), deleted=seq)
    return ok(m, room, seq)


def react(m: Model, by: Somebody, at: Attached, frame: frames.React) -> Expected:
    """A reaction, once, or taken back."""
    room = m.must_find(by, frame.room)
    m.need(by, at, room, MEMBERS)
    still_open(m, by, room)
    original(room, frame.seq)
    key = frame.seq, by.sender, frame.reaction
    if (key in room.reactions) == frame.on:
        return ok(m, room)
    (room.reactions.add if frame.on else room.reactions.discard)(key)
    what = "reacted" if frame.on else "unreacted"
    return ok(m, room, m.note(room, what, by, of=frame.seq, text=frame.reaction))


def read(m: Model, by: Somebody, at: Attached, frame: frames.Read) -> Expected:
    """“A mark never moves back.”"""
    room = m.must_find(by, frame.room)
    m.need(by, at, room, INSIDE)
    seq = min(frame.seq, room.head)
    if seq:
        m.mark(room, by.sender, seq, room.log[seq - 1].messages)
    return ok(m, room, seq)


# --- order ------------------------------------------------------------------------------------


def kept(m: Model, by: Somebody, at: Attached, name: str, who: tuple[str, ...], op: bool) -> Place:
    """A room that somebody may keep order in; conversations have nobody who does."""
    room = m.must_find(by, name)
    if room.kind == "direct":
        raise No("not_allowed")
    m.need(by, at, room, who, op=op)
    return room


def below(by: Somebody, room: Place, target: Somebody) -> None:
    """Pass if somebody stands below whoever acts."""
    if target is by or (target.operator and not by.operator):
        raise No("not_allowed")
    rank = room.members.get(target.sender)
    if by.operator or rank is None:
        return
    if MEMBERS.index(rank) <= MEMBERS.index(room.members[by.sender]):
        raise No("not_allowed")


def until(m: Model, seconds: int) -> tuple[int, int]:
    """When something ends, and how that is told."""
    end = m.at + seconds * 1000
    return (end, end) if seconds else (FOREVER, 0)


def topic(m: Model, by: Somebody, at: Attached, frame: frames.Topic) -> Expected:
    """Another title."""
    room = kept(m, by, at, frame.room, STAFF, True)
    if room.title == frame.text:
        return ok(m, room)
    room.title = frame.text
    return ok(m, room, m.note(room, "topic", by, text=frame.text))


def visibility(m: Model, by: Somebody, at: Attached, frame: frames.Visibility) -> Expected:
    """Private, or public."""
    room = kept(m, by, at, frame.room, ("owner",), True)
    kind = "private" if frame.private else "public"
    if room.kind == kind:
        return ok(m, room)
    room.kind = kind
    if frame.private:  # what any member could do opens no private room
        kept_by = {who for who, rank in room.members.items() if rank in STAFF}
        room.invited = {whom: who for whom, who in room.invited.items() if who in kept_by}
    return ok(m, room, m.note(room, kind, by))


def invite(m: Model, by: Somebody, at: Attached, frame: frames.Invite) -> Expected:
    """“It opens a private room to them.”"""
    room = m.must_find(by, frame.room)
    room = kept(m, by, at, frame.room, MEMBERS if room.kind == "public" else STAFF, False)
    target = m.who(frame.name)
    if target.sender in room.members:
        return ok(m, room)
    ban = room.bans.get(target.sender)
    if ban is not None and ban.until > m.at:
        raise No("not_allowed")
    unblocked(by, target)
    if target.sender in room.invited:
        return ok(m, room)
    room.invited[target.sender] = by.sender
    return ok(m, room, m.note(room, "invited", by, whom=target.sender, to=target.name))


def member(m: Model, room: Place, name: str) -> Somebody:
    """A member of that name."""
    target = m.who(name)
    if target.sender not in room.members:
        raise No("no_such_person")
    return target


def kick(m: Model, by: Somebody, at: Attached, frame: frames.Kick) -> Expected:
    """Out, but not for good."""
    room = kept(m, by, at, frame.room, STAFF, True)
    target = member(m, room, frame.name)
    below(by, room, target)
    seq = m.note(room, "kicked", by, whom=target.sender, to=target.name, text=frame.text)
    m.part(room, target)
    return ok(m, room, seq)


def ban(m: Model, by: Somebody, at: Attached, frame: frames.Ban) -> Expected:
    """“Put somebody out of a room and keep them out.”"""
    room = kept(m, by, at, frame.room, STAFF, True)
    target = m.who(frame.name)
    below(by, room, target)
    end, told = until(m, frame.seconds)
    address = "" if target.account else m.sessions_of(target.sender)[-1].address
    room.bans[target.sender] = Ban(target.name, end, address)
    room.invited.pop(target.sender, None)
    more = {"whom": target.sender, "to": target.name, "text": frame.text, "until": told}
    seq = m.note(room, "banned", by, **more)
    if target.sender in room.members:
        m.part(room, target)
    return ok(m, room, seq)


def taken_back(m: Model, found: dict[int, Ban], name: str) -> tuple[int, str]:
    """Whose ban or mute it is: who is called so, or was when it was made."""
    holder = m.named(name)
    if holder is not None and holder.sender in found:
        sender = holder.sender
    else:
        same = (each for each, ban in found.items() if ban.name.casefold() == name.casefold())
        first = next(same, None)
        if first is None:
            raise No("no_such_person")
        sender = first
    return sender, found.pop(sender).name


def unban(m: Model, by: Somebody, at: Attached, frame: frames.Unban) -> Expected:
    """Let in again."""
    room = kept(m, by, at, frame.room, STAFF, True)
    sender, name = taken_back(m, room.bans, frame.name)
    return ok(m, room, m.note(room, "unbanned", by, whom=sender, to=name))


def mute(m: Model, by: Somebody, at: Attached, frame: frames.Mute) -> Expected:
    """“Let somebody read but not write in a room, or write again.”"""
    room = kept(m, by, at, frame.room, STAFF, True)
    if not frame.on:
        sender, name = taken_back(m, room.mutes, frame.name)
        return ok(m, room, m.note(room, "unmuted", by, whom=sender, to=name))
    target = m.who(frame.name)
    below(by, room, target)
    if room.members.get(target.sender) in STAFF:
        raise No("not_allowed")  # it would not keep them from writing
    end, told = until(m, frame.seconds)
    room.mutes[target.sender] = Ban(target.name, end)
    more = {"whom": target.sender, "to": target.name, "text": frame.text, "until": told}
    return ok(m, room, m.note(room, "muted", by, **more))


def role(m: Model, by: Somebody, at: Attached, frame: frames.Role) -> Expected:
    """“Make a member of a room its owner, an operator, or a plain member.”"""
    room = kept(m, by, at, frame.room, ("owner",), True)
    target = member(m, room, frame.name)
    if not target.account:
        raise No("not_allowed")
    before = room.members[target.sender]
    if before == frame.role:
        return ok(m, room)
    if before == "owner" and list(room.members.values()).count("owner") == 1:
        raise No("not_allowed")
    room.members[target.sender] = frame.role
    more = {"whom": target.sender, "to": target.name, "text": frame.role}
    return ok(m, room, m.note(room, "role", by, **more))
