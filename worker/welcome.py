"""The answer that opens a session: who one is, and where. Pure."""

from __future__ import annotations

from hubbub import __version__, frames
from hubbub.errors import Code
from hubbub.frames import Welcome
from hubbub.wire import Answer
from worker.plan import Plan
from worker.records import token_hash
from worker.show import invitations, own_state, snapshot
from worker.tasks import Task, View


def welcome(plan: Plan, task: Task, id: int, token: str, device: str = "") -> None:
    """Answer with session `id` as it is once the turn has been applied.

    Of two that take the session in one turn, or when the answer is made anew later, the last has
    it: the others are told so.

    Args:
        token: resumes it.
        device: logs in again from where it was begun, if that is told now.
    """
    begun = plan.session(id)
    assert begun is not None
    generation = begun.generation
    plan.answer_later(
        task, lambda view: _welcome(view, task, id, generation, token, device), kept=True
    )


def _welcome(view: View, task: Task, id: int, generation: int, token: str, device: str) -> Answer:
    state, no = view.state, task.ask.no
    session = state.sessions.get(id)
    if session is None:
        return Answer(no, frames.Error(Code.EXPIRED, "the session is over"))
    if session.generation != generation or session.token != token_hash(token):
        text = "the session was resumed on another connection"
        return Answer(no, frames.Error(Code.REPLACED, text))
    sender = session.sender
    person = state.people[sender]
    rooms = [state.rooms[room] for room in sorted(person.rooms)]
    reply = Welcome(
        0,
        session.id,
        sender,
        person.name,
        token,
        state.epoch,
        gateway=task.gateway,
        version=__version__,
        resume_within=view.settings.resume_within,
        max_text=view.settings.max_text,
        rooms=[own_state(state, room, sender) for room in rooms],
        account=person.account is not None,
        operator=person.is_operator,
        device=device,
        blocked=sorted(person.blocked),
        invitations=invitations(state, sender),
    )
    snapshots = [snapshot(view, room) for room in rooms]
    return Answer(no, reply, session.id, session.generation, snapshots)
