"""What operators of the cluster do, all of it noted in the audit log. Pure."""

from __future__ import annotations

import secrets

from hubbub import frames
from hubbub.errors import Code, Refused
from hubbub.frames import Announce, Announcement, Audit, Close, Promote, Rename, Suspend
from hubbub.wire import Ending, Item, Kind
from worker.access import Action
from worker.case import Case, find, find_person
from worker.log import note
from worker.moderation import audit, until
from worker.presence import change, end_all
from worker.records import RoomKind
from worker.rooms import members_now, part, rename
from worker.tasks import Auditing

_encode = frames.encoder.encode


def promote(case: Case, frame: Promote) -> None:
    """Make an account an operator of the cluster, or no longer; whoever has the key may, too."""
    key = case.operator_key
    if not (frame.key and key and secrets.compare_digest(frame.key.encode(), key.encode())):
        if frame.key:
            raise Refused(Code.NOT_ALLOWED, "that is not the operator key of this cluster")
        case.may(Action.OPERATE)
    target = find_person(case, frame.name)
    if target.account is None:
        raise Refused(Code.NOT_ALLOWED, f"{target.name} is a guest; an operator has an account")
    if target.account.operator is not frame.on:
        account = change(target.account, operator=frame.on)
        case.plan.put_person(change(target, account=account))
        audit(case, "promote" if frame.on else "demote", target.name)
    case.ok()


def suspend(case: Case, frame: Suspend) -> None:
    """Shut an account out and end its sessions, or let it in again."""
    case.may(Action.OPERATE)
    plan, target = case.plan, find_person(case, frame.name)
    if target.account is None:
        raise Refused(Code.NOT_ALLOWED, f"{target.name} is a guest; ban or kick instead")
    if target.is_operator and frame.on:
        raise Refused(Code.NOT_ALLOWED, f"{target.name} is an operator of the cluster")
    end = until(case, frame.seconds) if frame.on else 0
    text = frame.text if frame.on else ""
    account = change(target.account, suspended_until=end, suspended_why=text)
    target = change(target, account=account)
    plan.put_person(target)
    if frame.on:
        why = f": {text}" if text else ""
        ending = Ending(Code.SUSPENDED, f"this account is suspended{why}")
        end_all(plan, target, ending, "suspended")
    audit(case, "suspend" if frame.on else "unsuspend", target.name, text)
    case.ok()


def rename_other(case: Case, frame: Rename) -> None:
    """Give somebody another name."""
    case.may(Action.OPERATE)
    target = find_person(case, frame.name)
    rename(case.plan, target, frame.to, case.settings)
    audit(case, "rename", target.name, frame.to)
    case.ok()


def close(case: Case, frame: Close) -> None:
    """End a room: everybody is out, its name is free, its log is read no more."""
    case.may(Action.OPERATE)
    plan = case.plan
    room = find(case, frame.room)
    if room.kind is RoomKind.DIRECT:
        raise Refused(Code.NOT_ALLOWED, "a conversation of two cannot be closed")
    draft = plan.draft(room.id)
    seq = note(plan, draft, "closed", case.person, text=frame.text)
    plan.close_room(draft)
    for member in members_now(plan, draft.id):
        part(plan, member, draft, "closed", by=case.person.name, text=frame.text)
    audit(case, "close", draft.name, frame.text)
    case.ok(draft, seq)


def announce(case: Case, frame: Announce) -> None:
    """Tell everybody who is connected something."""
    case.may(Action.OPERATE)
    body = _encode(Announcement(frame.text, case.person.name, case.plan.at))
    case.plan.items.append(Item(Kind.ANNOUNCEMENT, 0, 0, 0, body))
    audit(case, "announce", "", frame.text)
    case.ok()


def read_audit(case: Case, frame: Audit) -> None:
    """What operators did."""
    case.may(Action.OPERATE)
    case.plan.audits.append(Auditing(case.task, frame.before, frame.limit))
