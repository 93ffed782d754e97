"""All targets, in the order in which they are run."""

from __future__ import annotations

from tests.fuzz import asked, bus, deploying, files, kept, servers, typed, wires
from tests.fuzz.target import Target

TARGETS: dict[str, type[Target]] = {
    kind.name: kind
    for kind in (
        wires.Native,
        wires.BusToOwner,
        wires.BusToGateway,
        wires.StreamOfOwner,
        wires.Typing,
        servers.Client,
        files.Configuration,
        typed.Arguments,
        typed.Lines,
        typed.Piped,
        files.Credentials,
        typed.Names,
        typed.Query,
        typed.Texts,
        files.Addresses,
        asked.Asked,
        kept.Kept,
        bus.Keys,
        bus.Messages,
        deploying.Answers,
        deploying.Machine,
    )
}
