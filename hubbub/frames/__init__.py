"""The common frames: what clients and gateways say to each other, on every door.

A frame is a msgpack map whose key "t" is its class name in lower case (`say`, `welcome`, ...);
keys whose value is the default may be left out, unknown keys are ignored. docs/protocol.md is
generated from this package: a class's docstring is its description, a field's `Meta` its line.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from hubbub.frames.answers import (
    AuditEntry as AuditEntry,
    AuditLog as AuditLog,
    Device as Device,
    DeviceList as DeviceList,
    Error as Error,
    Found as Found,
    GatewayInfo as GatewayInfo,
    Granted as Granted,
    Hit as Hit,
    Invitation as Invitation,
    Ok as Ok,
    Page as Page,
    Peer as Peer,
    PeerList as PeerList,
    Person as Person,
    Pong as Pong,
    Reply as Reply,
    Report as Report,
    Restriction as Restriction,
    RestrictionList as RestrictionList,
    RoomInfo as RoomInfo,
    RoomList as RoomList,
    RoomState as RoomState,
    Roster as Roster,
    States as States,
    Welcome as Welcome,
)
from hubbub.frames.base import (
    LONGEST_TEXT as LONGEST_TEXT,
    MAX_CONTEXT as MAX_CONTEXT,
    MAX_DEPTH as MAX_DEPTH,
    MAX_FRAME as MAX_FRAME,
    MAX_HITS as MAX_HITS,
    MAX_PAGE as MAX_PAGE,
    MAX_REASON as MAX_REASON,
    MAX_RESUMED_ROOMS as MAX_RESUMED_ROOMS,
    MAX_SECONDS as MAX_SECONDS,
    MAX_TEXT as MAX_TEXT,
    MAX_TITLE as MAX_TITLE,
    PROTOCOL as PROTOCOL,
    Agent as Agent,
    Frame as Frame,
    Id as Id,
    Limit as Limit,
    Name as Name,
    Password as Password,
    Query as Query,
    Reaction as Reaction,
    Reason as Reason,
    Ref as Ref,
    RoomName as RoomName,
    Seconds as Seconds,
    SecretFrame as SecretFrame,
    Seq as Seq,
    Text as Text,
    Title as Title,
    Token as Token,
)
from hubbub.frames.news import (
    TOLD_BY_EVENT as TOLD_BY_EVENT,
    Announcement as Announcement,
    Beat as Beat,
    Behind as Behind,
    Event as Event,
    Invited as Invited,
    Joined as Joined,
    Marked as Marked,
    Message as Message,
    Moving as Moving,
    News as News,
    Parted as Parted,
    Presence as Presence,
    Typists as Typists,
)
from hubbub.frames.operating import (
    Announce as Announce,
    Audit as Audit,
    Close as Close,
    Promote as Promote,
    Rename as Rename,
    Suspend as Suspend,
)
from hubbub.frames.requests import (
    Away as Away,
    Ban as Ban,
    Block as Block,
    Bye as Bye,
    ClientFrame as ClientFrame,
    Delete as Delete,
    Devices as Devices,
    Edit as Edit,
    Hello as Hello,
    History as History,
    Invite as Invite,
    Join as Join,
    Kick as Kick,
    Leave as Leave,
    Login as Login,
    Members as Members,
    Mute as Mute,
    Nick as Nick,
    Passwd as Passwd,
    Peers as Peers,
    Ping as Ping,
    React as React,
    Read as Read,
    Register as Register,
    Restrictions as Restrictions,
    Resume as Resume,
    Revoke as Revoke,
    Role as Role,
    Rooms as Rooms,
    Say as Say,
    Search as Search,
    Status as Status,
    Topic as Topic,
    Typing as Typing,
    Unban as Unban,
    Unread as Unread,
    Unregister as Unregister,
    Visibility as Visibility,
)

ServerFrame: TypeAlias = Reply | News

encoder = msgspec.msgpack.Encoder()
client_decoder: msgspec.msgpack.Decoder[ClientFrame] = msgspec.msgpack.Decoder(ClientFrame)
server_decoder: msgspec.msgpack.Decoder[ServerFrame] = msgspec.msgpack.Decoder(ServerFrame)
