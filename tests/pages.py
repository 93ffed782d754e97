"""What the pages say to type, so that tests can do it."""

from __future__ import annotations

from tests.support import ROOT


def blocks(page: str, heading: str) -> list[str]:
    """The indented blocks of one section of a page, up to the next heading, without the indent."""
    text = (ROOT / page).read_text(encoding="utf-8")
    _, found, rest = text.partition(f"\n{heading}\n")
    assert found, f"{page} has no {heading!r}"
    section = rest.partition("\n#")[0].split("\n\n")
    return [
        "\n".join(line.removeprefix("    ") for line in part.strip("\n").splitlines())
        for part in section
        if part.strip("\n").startswith("    ")
    ]
