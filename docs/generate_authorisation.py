"""Writes authorisation.md from worker/access.py; a test fails when it is stale.

python docs/generate_authorisation.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from worker.access import ROOM_ACTIONS, TABLE, Action, Role

PAGE = Path(__file__).resolve().parent / "authorisation.md"
TICK = "✓"
TO_THE_CLUSTER = (*(Role.GATEWAY, Role.GUEST, Role.ACCOUNT, Role.CLUSTER_OPERATOR, Role.SUSPENDED),)
TO_A_ROOM = (
    *(Role.OWNER, Role.OPERATOR, Role.MEMBER, Role.MUTED),
    *(Role.INVITED, Role.EX_MEMBER, Role.STRANGER, Role.BANNED),
)
WHO = {
    Role.GATEWAY: "a connection that has not said `hello` yet, and the gateway process itself",
    Role.GUEST: "somebody with a session and a name, until the session ends",
    Role.ACCOUNT: "somebody who has registered",
    Role.CLUSTER_OPERATOR: "an account that was promoted; in rooms it is this beside the rest",
    Role.SUSPENDED: "an account that is shut out: no other role counts, and its sessions are ended",
    Role.OWNER: "the account that made the room, found it empty, or was made its owner",
    Role.OPERATOR: "a member that an owner made one",
    Role.MEMBER: "somebody who is in the room",
    Role.MUTED: "a plain member that may not write; owners and operators cannot be held by it",
    Role.INVITED: "somebody who was asked in, and is not in it yet",
    Role.EX_MEMBER: "an account that was in the room once",
    Role.STRANGER: "somebody who never was, and every guest that went",
    Role.BANNED: "somebody who is kept out; of guests, all from the place of one that was banned",
}

INTRO = """\
# Who may do what

<!-- Made by docs/generate_authorisation.py from worker/access.py. -->

Each request of each door is an **action**, and whoever asks has **roles**: one to the cluster,
and one to the room that the request is about. An action is allowed if its row has a tick under
one of these roles. There is no other way: what has no row is refused to everybody, and so is what
has no tick. The worker looks at this table, in one place, whatever gateway and door the request
came through; every cell is tried out by `tests/unit/worker/test_authorisation.py`.

Ids that a request carries prove nothing. A session is known by its connection, and a message,
device or conversation that is not one's own is looked for only among what one may see.
"""

NOTES = """\
## What the tables do not say

- **Rank.** Only who stands below oneself can be put out, banned or muted: an operator cannot
  touch an owner or another operator, nor one owner another, but for taking the role away. Nobody
  in a room can touch an operator of the cluster. A room keeps at least one owner while one is in
  it; when the last goes, its first operator, or else its first account, becomes the owner.
- **Operators of the cluster** keep order in every room, but do not enter, read or write there by
  that. The one way into a private room is to make it public, which everybody in it sees. What
  they do to others, and could not do as what they are in the room, is in the audit log.
- **The first operator** of a cluster is made by whoever shows the key in `operator.key`, be it a
  guest.
- **Conversations of two** are private rooms in which both are plain members, for good: no roles,
  invitations, kicks or bans, and nobody deletes what the other said, operators of the cluster
  neither. Either may leave and come back. Who was blocked can read what there is, leave, and take
  back what they said, without a word.
- **Reading** is of the whole log: a new member reads what was said before. Who is put out sees
  the event that says so, and nothing after. An answer to a question of the same moment is made by
  what is true afterwards.
- **Whether a private room exists** is told by its name being taken: whoever tries to join it is
  refused. Nothing else is told of it, and refusals are the same for numbers that exist and that
  do not. An invitation shows the room's title. It is used up by joining, and ends with a ban;
  those given by plain members end when a public room is made private.
- **Bans** are of the account, or of the guest and its place (the address, or the IPv6 network of
  it; not the server's own machine). An account is kept out wherever it comes from, but nobody can
  tell that a new guest is the same person.
- **A request asked again** with its id is answered as before, whatever one may do by now: with
  its number and time, and nothing that came since. A join that was undone is answered so.
- **Typing** is the one thing that the gateway decides: whoever is in the room.
"""


def generate() -> str:
    """The whole page."""
    actions = list(Action)
    return "\n".join(
        [
            INTRO,
            "## Roles",
            "",
            *_table(("role", "who it is"), ((f"**{_name(r)}**", WHO[r]) for r in Role)),
            "",
            "## In the cluster",
            "",
            *_matrix([each for each in actions if each not in ROOM_ACTIONS], TO_THE_CLUSTER),
            "",
            "## In a room",
            "",
            *_matrix(
                [each for each in actions if each in ROOM_ACTIONS],
                (*TO_A_ROOM, Role.CLUSTER_OPERATOR),
            ),
            "",
            "A suspended account has no tick here, whatever else it is.",
            "",
            NOTES,
        ]
    )


def _name(role: Role) -> str:
    return "no session" if role is Role.GATEWAY else role.value


def _matrix(actions: Iterable[Action], roles: Sequence[Role]) -> list[str]:
    return _table(
        ("", *(_name(role) for role in roles)),
        (
            (each.value, *(TICK if role in TABLE[each] else "" for role in roles))
            for each in actions
        ),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    marks = ["---", *[":-:" if len(head) > 2 else "---"] * (len(head) - 1)]
    return [f"| {' | '.join(row)} |" for row in (head, marks, *rows)]


if __name__ == "__main__":
    PAGE.write_text(generate(), encoding="utf-8")
