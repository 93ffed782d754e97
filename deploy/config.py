"""supervisord.conf as it is, or a copy of it rendered for another place and size."""

from __future__ import annotations

import re
from pathlib import Path

from deploy.errors import DeployError
from deploy.place import ROOT, SHIPPED, Place

SHIPPED_CONFIG = ROOT / "supervisord.conf"
SECTION = re.compile(r"^\[program:(?P<kind>[a-z]+)-(?P<number>\d+)\]\n(?:(?!\[).*\n?)*", re.M)


def choose(place: Place, gateways: int) -> Path:
    """The configuration to start this cluster with; written when the shipped one does not fit."""
    as_shipped = (
        place.data == ROOT / "var"
        and place.run_dir == place.data / "run"
        and (gateways, place.brokers) == (SHIPPED, SHIPPED)
    )
    if as_shipped:
        return SHIPPED_CONFIG
    path = place.data / "supervisord.conf"
    shipped = SHIPPED_CONFIG.read_text(encoding="utf-8")
    write(path, render(shipped, place, gateways))
    return path


def render(shipped: str, place: Place, gateways: int) -> str:
    """The shipped text for another place, with so many gateways."""
    numbers = {"gateway": gateways, "broker": place.brokers, "worker": SHIPPED}
    done = set()

    def repeat(section: re.Match[str]) -> str:
        kind = section["kind"]
        if kind in done:
            return ""
        done.add(kind)
        return "".join(renumber(section[0], kind, number) for number in range(1, numbers[kind] + 1))

    text = SECTION.sub(repeat, shipped)
    lines = [line for line in text.splitlines() if not line.startswith(";")]
    return localize("\n".join(lines) + "\n", place)


def gateway_section(number: int, place: Place) -> str:
    """The section of one more gateway, for the running supervisord to include."""
    shipped = SHIPPED_CONFIG.read_text(encoding="utf-8")
    section = next(found for found in SECTION.finditer(shipped) if found["kind"] == "gateway")
    return localize(renumber(section[0], "gateway", number), place)


def renumber(section: str, kind: str, number: int) -> str:
    section = section.replace(f"{kind}-1", f"{kind}-{number}")
    return section.replace("--number 1", f"--number {number}")


def localize(text: str, place: Place) -> str:
    """With the paths of this place instead of those relative to the shipped file."""
    return (
        text.replace("%(here)s/var/run", _literal(place.run_dir))
        .replace("%(here)s/var", _literal(place.data))
        .replace("files=var/", "files=")  # relative to the file, which stands in the data directory
        .replace("%(here)s", _literal(ROOT))
    )


def write(path: Path, text: str) -> None:
    """Replace a file whole: supervisord must never read half of one."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise DeployError(f"{path} cannot be written: {error.strerror}.") from None


def _literal(path: Path) -> str:
    text = str(path)
    # In supervisord's syntax these end a value, start a comment, quote, or name a variable. Its
    # text is UTF-8: what stands for other bytes cannot be written.
    signs = "\n\r\"'\\;#%"
    if any(sign in signs or "\ud800" <= sign <= "\udfff" for sign in text):
        raise DeployError(
            f"the path {text!r} has a sign that supervisord's configuration can't hold."
        )
    return text
