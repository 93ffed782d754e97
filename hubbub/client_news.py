"""Where each thing goes that a server tells unasked. No I/O."""

from __future__ import annotations

from hubbub.client_events import EventQueue
from hubbub.client_rooms import Rooms
from hubbub.frames import (
    Announcement,
    Behind,
    Event,
    Invited,
    Joined,
    Marked,
    Message,
    News,
    Parted,
    Presence,
    Typists,
)


def take_news(frame: News, size: int, rooms: Rooms, queue: EventQueue) -> None:
    """Have it change what is known of the rooms, and told to the application."""
    if isinstance(frame, Message | Event):
        rooms.take(frame, size)
    elif isinstance(frame, Presence):
        rooms.take_presence(frame, size)
    elif isinstance(frame, Behind):
        rooms.take_behind(frame)
    elif isinstance(frame, Joined):
        rooms.take_joined(frame)
    elif isinstance(frame, Parted):
        rooms.take_parted(frame)
    elif isinstance(frame, Marked):
        rooms.take_marked(frame)
    elif isinstance(frame, Typists):
        if rooms.find(frame.room) is not None:
            queue.put_passing(rooms.directs.show(frame))
    elif isinstance(frame, Invited):
        rooms.invited(frame)
        queue.put_notice(frame)
    elif isinstance(frame, Announcement):
        queue.put_notice(frame)
