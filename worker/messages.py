"""What is said in a room: posts, edits, deletions, reactions, and how far one has read. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

import msgspec

from hubbub import frames, names
from hubbub.errors import Code, Refused
from hubbub.frames import Delete, Edit, Event, Marked, Message, Ok, React, Read, Say
from hubbub.names import DIRECT, name_key
from hubbub.visible import is_hidden
from hubbub.wire import Item, Kind
from worker import direct
from worker.access import STAFF, Action, allows
from worker.case import Case, find, room_id
from worker.draft import Draft
from worker.log import note
from worker.moderation import audit
from worker.plan import Plan
from worker.records import EventRow, Mark, Room, RoomKind, digest_of
from worker.tasks import Rewrite

_change = msgspec.structs.replace
_encode = frames.encoder.encode
_message = msgspec.msgpack.Decoder(Message)
_event = msgspec.msgpack.Decoder(Event)
MOST_MENTIONS = 99  # unread ones remembered for one person and room
# A reaction is to be seen as one sign: no white space, no controls, nothing that cannot be seen.
_NOT_IN_REACTIONS = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp", "Zs"})
_SHAPING = "\u200d\ufe0f"  # joiner and selector make one emoji of several


def say_digest(frame: Say) -> bytes:
    """What makes one post the same as another."""
    if frame.reply:
        return digest_of("say", frame.room, frame.text, frame.action, frame.reply)
    return digest_of("say", frame.room, frame.text, frame.action)


def say(case: Case, frame: Say) -> None:
    """Number one message."""
    plan, person = case.plan, case.person
    _check_text(frame.text, case)
    if frame.room.startswith(DIRECT):
        _check_reply(plan, room_id(plan, person.sender, frame.room), frame.reply)
        draft = plan.draft(direct.ready(case, frame.room, enter_other=True))
    else:
        id = room_id(plan, person.sender, frame.room)
        if id is None:
            raise Refused(Code.NO_SUCH_ROOM, f"there is no room {frame.room}; join makes it")
        draft = plan.draft(id)
        case.may_in(Action.SAY, draft)
        _check_reply(plan, id, frame.reply)
    draft.head += 1
    draft.count += 1
    sender, at = person.sender, plan.at
    mentions = mentioned(plan, draft, frame.text, sender, draft.head) if "@" in frame.text else []
    message = Message(
        draft.name,
        draft.head,
        sender,
        person.name,
        frame.text,
        at,
        draft.count,
        frame.action,
        frame.reply,
        mentions,
    )
    seq = plan.append(draft, Kind.MESSAGE, sender, _encode(message))
    _mark(plan, draft, sender, Mark(seq, draft.count))
    case.ok(draft, seq)


def _check_reply(plan: Plan, room: int | None, reply: int) -> None:
    """Pass if there is such a message, with its text or without."""
    if not reply:
        return
    row = plan.entry(room, reply) if room is not None else None
    if row is None or row.kind != Kind.MESSAGE:
        raise _no_such(reply)


def _check_text(text: str, case: Case) -> None:
    most = case.settings.max_text
    if len(text) > most:
        said = f"a text has at most {most:,} characters, this one has {len(text):,}"
        raise Refused(Code.TOO_LARGE, said)


def mentioned(
    plan: Plan, draft: Draft, text: str, sender: int, seq: int, *, told: Collection[int] = ()
) -> list[int]:
    """The members that a text names as `@NAME`; number `seq` is noted as unread for each.

    Args:
        told: those that were named before, and are not told again.
    """
    found: dict[int, None] = {}
    for name in names.mentions(text):
        named = plan.named(name_key(name))
        if named is not None and named != sender and plan.is_member(named, draft.id):
            found[named] = None
    if draft.kind is not RoomKind.DIRECT:
        for each in found:
            if each not in told:
                unread = plan.unread_mentions(each, draft.id)
                plan.mentions[each, draft.id] = (*unread, seq)[-MOST_MENTIONS:]
    return list(found)


# --- changing what was said -------------------------------------------------------------------


def edit(case: Case, frame: Edit) -> None:
    """Give a message of one's own another text."""
    plan = case.plan
    _check_text(frame.text, case)
    room = find(case, frame.room)
    case.may_in(Action.SAY, room)
    direct.check_room_open(case, room)
    message = _original(plan, room, frame.seq)
    if message.sender != case.person.sender:
        raise Refused(Code.NOT_ALLOWED, "only who wrote a message can edit it")
    draft = plan.draft(room.id)
    mentions = mentioned(
        plan, draft, frame.text, message.sender, draft.head + 1, told=message.mentions
    )
    seq = note(plan, draft, "edited", case.person, of=frame.seq, text=frame.text, mentions=mentions)
    _forget_edit(plan, draft, message)
    now = _change(message, text=frame.text, edited=seq, mentions=mentions)
    _rewrite(plan, draft, message, now)
    case.ok(draft, seq)


def delete(case: Case, frame: Delete) -> None:
    """Take the text of a message away; its number stays."""
    plan = case.plan
    room = find(case, frame.room)
    # Judged before it is looked at: whoever may not read here is not told what there is.
    roles = case.roles_in(room)
    if not allows(Action.DELETE_OTHERS, roles):
        case.may_in(Action.DELETE_OWN, room)
        if frame.text:  # others read it: whoever may not write cannot say it in this way either
            case.may_in(Action.SAY, room)
    if frame.text:
        direct.check_room_open(case, room)
    message = _original(plan, room, frame.seq)
    own = message.sender == case.person.sender
    if not own:
        if room.kind is RoomKind.DIRECT:
            raise Refused(Code.NOT_ALLOWED, "only who wrote a message can delete it here")
        case.may_in(Action.DELETE_OTHERS, room)
    draft = plan.draft(room.id)
    seq = note(plan, draft, "deleted", case.person, of=frame.seq, text=frame.text)
    if not own and not roles & STAFF:
        audit(case, "delete", f"{draft.name} {frame.seq}", frame.text)
    _forget_edit(plan, draft, message)
    _rewrite(plan, draft, message, _change(message, text="", deleted=seq, mentions=[]))
    case.ok(draft, seq)


def _original(plan: Plan, room: Draft | Room, seq: int) -> Message:
    row = plan.entry(room.id, seq)
    if row is None or row.kind != Kind.MESSAGE:
        raise _no_such(seq)
    message = _message.decode(row.body)
    if message.deleted:
        raise Refused(Code.NO_SUCH_MESSAGE, f"message {seq} was deleted")
    return message


def edit_of(row: EventRow) -> int:
    """The number of the event that gave a message its text; 0: it was never edited."""
    return _message.decode(row.body).edited if row.kind == Kind.MESSAGE else 0


def _no_such(seq: int) -> Refused:
    return Refused(Code.NO_SUCH_MESSAGE, f"there is no message {seq}")


def _rewrite(plan: Plan, draft: Draft, was: Message, now: Message) -> None:
    earlier = plan.rewrites.get((draft.id, was.seq))
    # The index has what stood there when the turn began.
    old = earlier.old if earlier is not None else was.text
    plan.rewrites[draft.id, was.seq] = Rewrite(_encode(now), old, now.text)


def _forget_edit(plan: Plan, draft: Draft, message: Message) -> None:
    """The text that an earlier edit brought is to be read nowhere any more."""
    row = plan.entry(draft.id, message.edited) if message.edited else None
    if row is not None:
        event = _change(_event.decode(row.body), text="", mentions=[])
        plan.rewrites[draft.id, message.edited] = Rewrite(_encode(event))


# --- reactions --------------------------------------------------------------------------------


def react(case: Case, frame: React) -> None:
    """React to a message, or take that back; what is so already is not told again."""
    plan, sender = case.plan, case.person.sender
    reaction = check_reaction(frame.reaction)
    room = find(case, frame.room)
    case.may_in(Action.SAY, room)
    direct.check_room_open(case, room)
    _original(plan, room, frame.seq)
    key = room.id, frame.seq, sender, reaction
    seq = 0
    if plan.has_reacted(key) is not frame.on:
        draft = plan.draft(room.id)
        kind = "reacted" if frame.on else "unreacted"
        seq = note(plan, draft, kind, case.person, of=frame.seq, text=reaction)
        plan.reactions[key] = frame.on
    case.ok(room, seq)


def check_reaction(text: str) -> str:
    """The form in which a reaction is stored and compared.

    Raises:
        Refused: it would not be seen as one sign.
    """
    normal = unicodedata.normalize("NFC", text)
    for character in normal:
        refused = unicodedata.category(character) in _NOT_IN_REACTIONS or is_hidden(character)
        if refused and character not in _SHAPING:
            raise Refused(Code.NOT_ALLOWED, "a reaction is an emoji or a short word")
    return normal


# --- reading ----------------------------------------------------------------------------------


def read(case: Case, frame: Read) -> None:
    """Move one's read mark, on all devices; never back."""
    plan, sender = case.plan, case.person.sender
    room = find(case, frame.room)
    case.may_in(Action.MARK_READ, room)
    seq = min(frame.seq, room.head)
    row: EventRow | None = None if seq == room.head else plan.entry(room.id, seq)
    if seq > plan.mark(sender, room.id).seq and (seq == room.head or row is not None):
        count = room.count if row is None else row.messages
        _mark(plan, room, sender, Mark(seq, count))
        left = len(plan.unread_mentions(sender, room.id))
        body = _encode(Marked(room.name, seq, count, left))
        plan.items.append(Item(Kind.PERSONAL, room.id, 0, sender, body))
    plan.answer(case.task, Ok(0, room.name, seq, plan.at), kept=False)


def _mark(plan: Plan, room: Draft | Room, sender: int, mark: Mark) -> None:
    plan.marks[sender, room.id] = mark
    unread = plan.unread_mentions(sender, room.id)
    if unread:
        left = tuple(seq for seq in unread if seq > mark.seq)
        if left != unread:
            plan.mentions[sender, room.id] = left
