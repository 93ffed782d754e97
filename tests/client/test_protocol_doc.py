"""docs/protocol.md is what hubbub/frames/ says."""

from __future__ import annotations

import re
import typing
from pathlib import Path

import msgpack

from docs import generate_protocol
from hubbub import frames
from hubbub.errors import Code

# In the prose, as values and examples.
OTHER_WORDS = {
    *("str", "bin", "lobby", "paypal", "bobo", "here", "away", "busy", "gone", "entered", "left"),
    *("edited", "deleted", "kicked", "closed"),
}
DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_page_is_what_the_generator_makes_today() -> None:
    page = (DOCS / "protocol.md").read_text(encoding="utf-8")
    assert page == generate_protocol.generate(), "stale: run `python docs/generate_protocol.py`"


def test_every_frame_and_every_code_has_its_place() -> None:
    page = (DOCS / "protocol.md").read_text(encoding="utf-8")
    kinds = [*typing.get_args(frames.ClientFrame), *typing.get_args(frames.ServerFrame)]
    for kind in kinds:
        assert page.count(f"\n### {kind.__struct_config__.tag}\n") == 1
    for code in Code:
        assert f"| `{code.value}` |" in page


def test_a_link_within_the_page_leads_to_a_heading() -> None:
    page = (DOCS / "protocol.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", page, re.M)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", page)) <= anchors


def test_the_prose_names_no_frame_that_there_is_not() -> None:
    """What is written by hand is not overtaken by the frames."""
    prose = (DOCS / "protocol.in.md").read_text(encoding="utf-8").partition("## Frames from")[0]
    kinds = [*typing.get_args(frames.ClientFrame), *typing.get_args(frames.ServerFrame)]
    tags = {str(kind.__struct_config__.tag) for kind in kinds}
    fields = {field for kind in kinds for field in kind.__struct_fields__}
    parts = [kind for kind in vars(frames).values() if isinstance(kind, type)]
    known = (
        tags | fields | {code.value for code in Code} | {kind.__name__.lower() for kind in parts}
    )
    words = set(re.findall(r"`([a-z_]+)`", prose))
    assert words - known <= OTHER_WORDS


def test_the_bytes_of_the_example_are_frames() -> None:
    page = (DOCS / "protocol.md").read_text(encoding="utf-8")
    example = page[page.index("## An example in bytes") :]
    lines = re.findall(r"^([<>]) .*\n((?:    [0-9a-f ]+\n)+)", example, re.M)
    assert len(lines) == len(generate_protocol.example_frames())
    for (arrow, data), (speaker, frame) in zip(
        lines, generate_protocol.example_frames(), strict=True
    ):
        raw = bytes.fromhex(data)
        assert msgpack.unpackb(raw)["t"] == frame.__struct_config__.tag
        decoder = frames.client_decoder if arrow == ">" else frames.server_decoder
        assert (arrow == ">") == (speaker == "client")
        assert decoder.decode(raw) == frame
