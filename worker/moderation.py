"""Keeping order in a room: its title, who may enter, who may write, who may say so. Pure."""

from __future__ import annotations

from hubbub import frames
from hubbub.errors import Code, Refused
from hubbub.frames import Ban, Invite, Invited, Kick, Mute, Topic, Unban, Visibility
from hubbub.names import name_key
from hubbub.wire import Item, Kind
from worker import records
from worker.access import Action, Role
from worker.case import Case, find, find_person, guest_address
from worker.direct import check_open
from worker.draft import Draft
from worker.log import forget_invitations, note
from worker.records import FOREVER, AuditRow, Person, Rank, Restriction, RoomKind
from worker.rooms import part
from worker.show import MOST_INVITATIONS

_encode = frames.encoder.encode
_RANKS = {rank.word: rank for rank in Rank}
MOST_RESTRICTIONS = 1000  # bans and mutes of one room: one answer lists them


def _moderated(case: Case, name: str, action: Action) -> Draft:
    """The room, if the person may do that in it.

    Raises:
        Refused: there is none, or they may not.
    """
    room = find(case, name)
    if room.kind is RoomKind.DIRECT:
        raise Refused(Code.NOT_ALLOWED, "a conversation of two has no operators")
    case.may_in(action, room)
    return case.plan.draft(room.id)


def _member(case: Case, draft: Draft, name: str) -> Person:
    person = find_person(case, name)
    if draft.id not in person.rooms:
        raise Refused(Code.NO_SUCH_PERSON, f"{person.name} is not in {draft.name}")
    return person


def _check_rank(case: Case, draft: Draft, target: Person) -> None:
    """Pass if the person stands above the other one in the room.

    Raises:
        Refused: not so.
    """
    if target.sender == case.person.sender:
        raise Refused(Code.NOT_ALLOWED, "that is you")
    if target.is_operator and not case.person.is_operator:
        raise Refused(Code.NOT_ALLOWED, f"{target.name} is an operator of the cluster")
    if case.person.is_operator:
        return
    own, rank = draft.rank_of(case.person.sender), draft.rank_of(target.sender)
    if draft.id in target.rooms and rank >= own:
        than = "as you are" if rank is own else f"and you are {own.word}"
        raise Refused(Code.NOT_ALLOWED, f"{target.name} is {rank.word} of {draft.name}, {than}")


def _finish(
    case: Case, draft: Draft, action: str, target: str, text: str = "", seq: int = 0
) -> None:
    """Answer, and note what only an operator of the cluster could do."""
    roles = case.roles_in(draft)
    if Role.CLUSTER_OPERATOR in roles and not roles & {Role.OWNER, Role.OPERATOR}:
        audit(case, action, f"{draft.name} {target}".strip(), text)
    case.ok(draft, seq)


def audit(case: Case, action: str, target: str, text: str = "") -> None:
    """Put an act of an operator of the cluster into the audit log."""
    by = case.person
    case.plan.audit.append(AuditRow(case.plan.at, by.sender, by.name, action, target, text))


def until(case: Case, seconds: int) -> int:
    """When something ends that begins now, in milliseconds since 1970; 0 seconds: never."""
    return case.plan.at + seconds * 1000 if seconds else FOREVER


def told(end: int) -> int:
    """The same as clients are told it."""
    return 0 if end == FOREVER else end


# --- the room ---------------------------------------------------------------------------------


def topic(case: Case, frame: Topic) -> None:
    """Another title."""
    draft = _moderated(case, frame.room, Action.TITLE)
    seq = 0
    if draft.title != frame.text:
        draft.title = frame.text
        draft.changed = True
        seq = note(case.plan, draft, "topic", case.person, text=frame.text)
    _finish(case, draft, "topic", "", frame.text, seq)


def visibility(case: Case, frame: Visibility) -> None:
    """Private, or public."""
    draft = _moderated(case, frame.room, Action.VISIBILITY)
    kind = RoomKind.PRIVATE if frame.private else RoomKind.PUBLIC
    seq = 0
    if draft.kind is not kind:
        draft.kind = kind
        draft.changed = True
        if frame.private:
            _drop_invitations(draft)
        seq = note(case.plan, draft, "private" if frame.private else "public", case.person)
    _finish(case, draft, "private" if frame.private else "public", "", seq=seq)


def _drop_invitations(draft: Draft) -> None:
    """While the room was public all members could invite: that opens no private room."""
    for sender in {**draft.room.invites, **draft.invites}:
        invite = draft.invite_of(sender)
        if invite is not None and draft.rank_of(invite.by) is Rank.MEMBER:
            draft.invites[sender] = None


# --- who may enter ----------------------------------------------------------------------------


def invite(case: Case, frame: Invite) -> None:
    """Ask somebody in; it opens a private room to them."""
    room = find(case, frame.room)
    private = room.kind is not RoomKind.PUBLIC
    action = Action.INVITE_PRIVATE if private else Action.INVITE_PUBLIC
    draft = _moderated(case, frame.room, action)
    target = find_person(case, frame.name)
    if draft.id in target.rooms:
        case.ok(draft)
        return
    ban = draft.restriction("ban", target.sender)
    if ban is not None and ban.until > case.plan.at:
        raise Refused(Code.NOT_ALLOWED, f"{target.name} is banned from {draft.name}: unban first")
    check_open(case.person, target)
    seq = 0
    if draft.invite_of(target.sender) is None:
        by = case.person
        forget_invitations(case.plan, target, keep=MOST_INVITATIONS - 1)
        draft.invites[target.sender] = records.Invite(by.sender, by.name, case.plan.at)
        case.plan.invited.setdefault(target.sender, set()).add(draft.id)
        seq = note(case.plan, draft, "invited", by, to=target)
    body = _encode(Invited(draft.name, case.person.name, draft.title))
    case.plan.items.append(Item(Kind.PERSONAL, 0, 0, target.sender, body))
    case.ok(draft, seq)


def kick(case: Case, frame: Kick) -> None:
    """Put somebody out."""
    draft = _moderated(case, frame.room, Action.KICK)
    target = _member(case, draft, frame.name)
    _check_rank(case, draft, target)
    seq = note(case.plan, draft, "kicked", case.person, to=target, text=frame.text)
    part(case.plan, target, draft, "kicked", by=case.person.name, text=frame.text)
    _finish(case, draft, "kick", target.name, frame.text, seq)


def ban(case: Case, frame: Ban) -> None:
    """Put somebody out and keep them out; a guest's place with them."""
    draft = _moderated(case, frame.room, Action.BAN)
    plan, target = case.plan, find_person(case, frame.name)
    _check_rank(case, draft, target)
    _make_space(case, draft, "ban", target)
    end = until(case, frame.seconds)
    draft.restrictions["ban", target.sender] = Restriction(
        "ban",
        target.sender,
        target.name,
        case.person.name,
        plan.at,
        end,
        frame.text,
        _address(case, target),
    )
    draft.invites[target.sender] = None
    seq = note(plan, draft, "banned", case.person, to=target, text=frame.text, until=told(end))
    if draft.id in target.rooms:
        part(plan, target, draft, "banned", by=case.person.name, text=frame.text)
    _finish(case, draft, "ban", target.name, frame.text, seq)


def _make_space(case: Case, draft: Draft, kind: str, target: Person) -> None:
    """Pass if there is space for one more ban or mute, perhaps since others are over by now.

    Raises:
        Refused: there is none.
    """
    listed = draft.all_restrictions()
    if len(listed) < MOST_RESTRICTIONS or draft.restriction(kind, target.sender) is not None:
        return
    over = [each for each in listed if each.until <= case.plan.at]
    if not over:
        text = f"{len(listed)} people are banned or muted in {draft.name}: take some back first"
        raise Refused(Code.LIMIT, text)
    for each in over:
        draft.restrictions[each.kind, each.sender] = None


def _address(case: Case, target: Person) -> str:
    sessions = case.plan.sessions_of(target)
    return guest_address(target, sessions[-1], case.settings) if sessions else ""


def unban(case: Case, frame: Unban) -> None:
    """Let somebody in again, by the name that they had when they were banned, too."""
    draft = _moderated(case, frame.room, Action.BAN)
    found = _restricted(case, draft, "ban", frame.name)
    if found is None:
        raise Refused(Code.NO_SUCH_PERSON, f"{frame.name} is not banned from {draft.name}")
    draft.restrictions["ban", found.sender] = None
    target = Person(found.sender, found.name, "")
    seq = note(case.plan, draft, "unbanned", case.person, to=target)
    _finish(case, draft, "unban", found.name, seq=seq)


def _restricted(case: Case, draft: Draft, kind: str, name: str) -> Restriction | None:
    key = name_key(name)
    sender = case.plan.named(key)
    if sender is not None and (found := draft.restriction(kind, sender)) is not None:
        return found
    named = (
        each
        for each in draft.all_restrictions()
        if each.kind == kind and name_key(each.name) == key
    )
    return next(named, None)


def mute(case: Case, frame: Mute) -> None:
    """Let somebody read but not write, or write again."""
    draft = _moderated(case, frame.room, Action.MUTE)
    plan = case.plan
    if not frame.on:
        found = _restricted(case, draft, "mute", frame.name)
        if found is None:
            raise Refused(Code.NO_SUCH_PERSON, f"{frame.name} is not muted in {draft.name}")
        draft.restrictions["mute", found.sender] = None
        target = Person(found.sender, found.name, "")
        seq = note(plan, draft, "unmuted", case.person, to=target)
        _finish(case, draft, "unmute", found.name, seq=seq)
        return
    target = find_person(case, frame.name)
    _check_rank(case, draft, target)
    rank = draft.rank_of(target.sender)
    if rank > Rank.MEMBER:  # it would not keep them from writing
        text = f"{target.name} is {rank.word} of {draft.name}: make them a plain member first"
        raise Refused(Code.NOT_ALLOWED, text)
    _make_space(case, draft, "mute", target)
    end = until(case, frame.seconds)
    draft.restrictions["mute", target.sender] = Restriction(
        "mute", target.sender, target.name, case.person.name, plan.at, end, frame.text
    )
    seq = note(plan, draft, "muted", case.person, to=target, text=frame.text, until=told(end))
    _finish(case, draft, "mute", target.name, frame.text, seq)


def role(case: Case, frame: frames.Role) -> None:
    """Make a member owner, operator or plain member."""
    draft = _moderated(case, frame.room, Action.RANK)
    target = _member(case, draft, frame.name)
    if target.account is None:
        raise Refused(Code.NOT_ALLOWED, f"{target.name} is a guest; only accounts have roles")
    rank, before = _RANKS[frame.role], draft.rank_of(target.sender)
    seq = 0
    if rank is not before:
        if before is Rank.OWNER and not _has_other_owner(case, draft, target):
            raise Refused(Code.NOT_ALLOWED, f"{draft.name} needs an owner: name another first")
        draft.ranks[target.sender] = rank
        seq = note(case.plan, draft, "role", case.person, to=target, text=rank.word)
    _finish(case, draft, f"role {rank.word}", target.name, seq=seq)


def _has_other_owner(case: Case, draft: Draft, target: Person) -> bool:
    ranked = {**draft.room.ranks, **draft.ranks}
    return any(
        rank is Rank.OWNER and sender != target.sender and case.plan.is_member(sender, draft.id)
        for sender, rank in ranked.items()
    )
