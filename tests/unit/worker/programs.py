"""Programs of what people do, and the frames that their steps become."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import strategies as st

from hubbub import frames
from tests.unit.worker.world import OPERATOR_KEY

NAMES = ("alice", "bob", "carol", "dave", "a1ice", "Bob", "rita")
TEXTS = ("hello", "@bob look", "@alice and @carol", "what, @bob @bob @nobody?", "a@bob")
ENDS = (0, 0, 60, 600)  # seconds
ROLES = ("owner", "operator", "member")


class Step(NamedTuple):
    """One thing that somebody does; numbers choose among what there is."""

    what: str
    who: int = 0
    whom: int = 0
    where: int = 0
    which: int = 0
    flag: bool = False
    together: bool = False  # with the next one, in one turn


# The first is what a failing program is made simpler by.
OFTEN = ["say", "join", "leave", "kick", "ban", "edit", "delete", "read", "role", "invite", "retry"]
VERBS = [
    "nothing", *OFTEN, *OFTEN, "say", "say", "join",
    "hello", "register", "login", "token", "passwd", "unregister", "revoke", "bye", "lost",
    "resume", "gone", "sync", "time", "time", "nick", "away", "topic", "visibility", "unban",
    "mute", "unmute", "react", "block", "suspend", "rename", "close", "promote", "conflict",
]  # fmt: skip
STEPS = st.builds(
    Step,
    st.sampled_from(VERBS),
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(0, 9),
    st.integers(0, 6),
    st.booleans(),
    st.booleans(),
)
PROGRAMS = st.lists(STEPS, min_size=15, max_size=40)

# Two accounts, one of them on two devices, and a guest, in a room; one of them in a private one of
# the other's; a conversation; an operator of the cluster.
PROLOGUE = (
    Step("hello", which=0),
    Step("register"),
    Step("join"),
    Step("hello", which=1, where=1),
    Step("register", who=1),
    Step("join", who=1),
    Step("login", where=1),
    Step("hello", which=2, whom=1),
    Step("join", who=3),
    Step("hello", which=3),
    Step("register", who=4),
    Step("promote", who=4, whom=3, flag=True),
    Step("join", who=1, where=5, flag=True),
    Step("invite", who=1, whom=0, where=5),
    Step("join", who=2, where=5),
    Step("say", who=0, which=1),
    Step("say", who=1, which=2),
    Step("edit", who=1, whom=0),
    Step("say", who=1, whom=0, where=8),
)


class Chosen(NamedTuple):
    """What the numbers of a step have chosen."""

    id: bytes
    room: str
    name: str
    seq: int


def frame_of(step: Step, chosen: Chosen) -> frames.Frame | None:
    """The frame of a step that is one ask of a session; None: it is another kind of step."""
    id, room, name, seq = chosen
    which, flag = step.which, step.flag
    text, seconds = TEXTS[which % len(TEXTS)], ENDS[which % len(ENDS)]
    match step.what:
        case "say":
            return frames.Say(0, id, room, text, flag, seq if which == 6 else 0)
        case "join":
            return frames.Join(0, id, room, private=flag and which < 4)
        case "leave":
            return frames.Leave(0, id, room)
        case "edit":
            return frames.Edit(0, id, room, seq, TEXTS[step.whom % len(TEXTS)])
        case "delete":
            return frames.Delete(0, id, room, seq, "why" if flag else "")
        case "react":
            return frames.React(0, id, room, seq, "+1", flag)
        case "read":
            return frames.Read(0, room, seq)
        case "topic":
            return frames.Topic(0, id, room, text)
        case "visibility":
            return frames.Visibility(0, id, room, flag)
        case "invite":
            return frames.Invite(0, id, room, name)
        case "kick":
            return frames.Kick(0, id, room, name, "why")
        case "ban":
            return frames.Ban(0, id, room, name, "", seconds)
        case "unban":
            return frames.Unban(0, id, room, name)
        case "mute":
            return frames.Mute(0, id, room, name, "", seconds)
        case "unmute":
            return frames.Mute(0, id, room, name, on=False)
        case "role":
            return frames.Role(0, id, room, name, ROLES[which % 3])
        case _:
            return _of_people(step, chosen)


def _of_people(step: Step, chosen: Chosen) -> frames.Frame | None:
    id, room, name, _ = chosen
    which, flag = step.which, step.flag
    text, seconds = TEXTS[which % len(TEXTS)], ENDS[which % len(ENDS)]
    match step.what:
        case "nick":
            return frames.Nick(0, id, NAMES[which])
        case "away":
            return frames.Away(0, id, ("here", "away", "busy")[which % 3], text)
        case "block":
            return frames.Block(0, id, name, flag)
        case "revoke":
            return frames.Revoke(0, id, which)
        case "bye":
            return frames.Bye(0, id)
        case "suspend":
            return frames.Suspend(0, id, name, "", seconds, flag)
        case "rename":
            return frames.Rename(0, id, name, NAMES[which])
        case "close":
            return frames.Close(0, id, room) if flag else None
        case "promote":
            key = OPERATOR_KEY if flag and which < 2 else ""
            return frames.Promote(0, id, name, which < 5, key)
        case _:
            return None
