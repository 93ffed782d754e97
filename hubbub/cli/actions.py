"""What each slash command does; those about oneself and this program are in self_actions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from hubbub.cli import search, self_actions
from hubbub.cli.commands import Command, WrongLineError, help_lines
from hubbub.cli.conversation import MOST_HISTORY, Conversation
from hubbub.cli.render import clock, people_line, unread_line, unread_of, visible
from hubbub.frames import Restriction

HISTORY_ON_DEMAND = 20
HITS = 20

Action: TypeAlias = Callable[[Conversation, Command], Awaitable[None]]


# --- talking ----------------------------------------------------------------------------------


async def _me(talk: Conversation, command: Command) -> None:
    await talk.say(command.text, action=True)


async def _msg(talk: Conversation, command: Command) -> None:
    room = f"@{command.who}"
    if not command.text:
        await talk.join(room)
        return
    if not talk.is_in(room):
        # Also so that what one says there is shown here.
        room = await talk.enter(room)
    await talk.say(command.text, room=room)


async def _reply(talk: Conversation, command: Command) -> None:
    await talk.say(command.text, reply=command.number)


async def _react(talk: Conversation, command: Command) -> None:
    on = command.name == "react"
    talk.changed(await talk.client.react(talk.here(), command.number, command.text, on))


async def _edit(talk: Conversation, command: Command) -> None:
    talk.changed(await talk.client.edit(talk.here(), await _which(talk, command), command.text))


async def _delete(talk: Conversation, command: Command) -> None:
    talk.changed(await talk.client.delete(talk.here(), await _which(talk, command)))


async def _which(talk: Conversation, command: Command) -> int:
    if not command.number:
        await talk.finish()  # the last one may still be on its way
    number = command.number or talk.own.last(talk.here())
    if not number:
        raise WrongLineError(f"no message of yours is known here; /{command.name} N names one")
    return number


async def _history(talk: Conversation, command: Command) -> None:
    await talk.look_back(min(command.number or HISTORY_ON_DEMAND, MOST_HISTORY))


async def _search(talk: Conversation, command: Command) -> None:
    hits = await search.find(talk.client, command.text, HITS)
    for hit in hits:
        talk.answer(hit, [f"* {line}" for line in search.hit_lines(hit)])
    if not hits:
        talk.note("* Nothing was found")


# --- rooms ------------------------------------------------------------------------------------


async def _join(talk: Conversation, command: Command) -> None:
    await talk.join(command.text, private=command.private)


async def _leave(talk: Conversation, command: Command) -> None:
    room = command.text or talk.here()
    if not talk.is_in(room):
        raise WrongLineError(f"you are not in {room}")
    # Own lines come back only while one is in the room.
    await talk.finish()
    await talk.client.leave(room)
    talk.left(room)


async def _rooms(talk: Conversation, command: Command) -> None:
    rooms = await talk.client.rooms(command.text)
    if not rooms and not talk.look.json:
        talk.note("* There are no such rooms" if command.text else "* There are no rooms yet")
    for one in rooms:
        private = " (private)" if one.private else ""
        title = f" - {visible(one.title)}" if one.title else ""
        counts = f"{one.members} here, {one.head} entries"
        talk.answer(one, [f"* {visible(one.room)}{private}: {counts}{title}"])


async def _who(talk: Conversation, command: Command) -> None:
    roster = await talk.client.members(command.text or talk.here(), offline=True)
    listed = people_line(roster.members) or "nobody"
    talk.answer(roster, [f"* In {visible(roster.room)}: {listed}"])


async def _unread(talk: Conversation, command: Command) -> None:
    states = [one for one in await talk.client.unread() if unread_of(one)]
    if not states and not talk.look.json:
        talk.note("* You have read everything")
    for one in states:
        talk.answer(one, [f"* {visible(one.room)}: {unread_line(one)}"])


async def _mark(talk: Conversation, command: Command) -> None:
    room = command.text or talk.here()
    roster = await talk.client.members(room)
    await talk.client.read(room, roster.head)
    talk.marks.catch_up(roster.room)
    talk.note(f"* {visible(roster.room)} is marked as read")


async def _topic(talk: Conversation, command: Command) -> None:
    room = talk.here()
    if command.text:
        talk.changed(await talk.client.topic(room, command.text))
        return
    roster = await talk.client.members(room)
    title = visible(roster.title) if roster.title else "has no title"
    talk.answer(roster, [f"* {visible(roster.room)}: {title}"])


async def _visibility(talk: Conversation, command: Command) -> None:
    talk.changed(await talk.client.visibility(talk.here(), command.name == "private"))


async def _invite(talk: Conversation, command: Command) -> None:
    talk.changed(await talk.client.invite(talk.here(), command.who))


# --- order ------------------------------------------------------------------------------------


async def _kick(talk: Conversation, command: Command) -> None:
    talk.changed(await talk.client.kick(talk.here(), command.who, command.text))


async def _ban(talk: Conversation, command: Command) -> None:
    talk.changed(await talk.client.ban(talk.here(), command.who, command.text, command.seconds))


async def _unban(talk: Conversation, command: Command) -> None:
    talk.changed(await talk.client.unban(talk.here(), command.who))


async def _mute(talk: Conversation, command: Command) -> None:
    on = command.name == "mute"
    talk.changed(
        await talk.client.mute(talk.here(), command.who, command.text, command.seconds, on)
    )


async def _role(talk: Conversation, command: Command) -> None:
    talk.changed(await talk.client.role(talk.here(), command.who, command.text))


async def _bans(talk: Conversation, command: Command) -> None:
    room = talk.here()
    found = await talk.client.restrictions(room)
    if not found and not talk.look.json:
        talk.note(f"* Nobody is banned from {visible(room)} or muted in it")
    for one in found:
        talk.answer(one, [f"* {restriction_line(one)}"])


def restriction_line(one: Restriction) -> str:
    """`Eve: banned by Rita until 2026-01-01 12:00:00 (spam)`"""
    kind = {"ban": "banned", "mute": "muted"}.get(one.kind, visible(one.kind))
    until = f" until {clock(one.until)}" if one.until else ""
    why = f" ({visible(one.text)})" if one.text else ""
    return f"{visible(one.name)}: {kind} by {visible(one.by)}{until}{why}"


async def _help(talk: Conversation, command: Command) -> None:
    for line in help_lines(command.text):
        talk.note(line)


ACTIONS: dict[str, Action] = {
    "me": _me,
    "msg": _msg,
    "reply": _reply,
    "react": _react,
    "unreact": _react,
    "edit": _edit,
    "delete": _delete,
    "history": _history,
    "search": _search,
    "join": _join,
    "leave": _leave,
    "rooms": _rooms,
    "who": _who,
    "unread": _unread,
    "mark": _mark,
    "topic": _topic,
    "invite": _invite,
    "private": _visibility,
    "public": _visibility,
    "kick": _kick,
    "ban": _ban,
    "unban": _unban,
    "bans": _bans,
    "mute": _mute,
    "unmute": _mute,
    "role": _role,
    "help": _help,
    **self_actions.ACTIONS,
}
