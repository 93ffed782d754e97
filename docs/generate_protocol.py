"""Writes protocol.md from protocol.in.md and hubbub/frames/; a test fails when it is stale."""

from __future__ import annotations

import ast
import inspect
import io
import re
import string
import sys
import tokenize
import types
import typing
from pathlib import Path
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hubbub import errors, frames
from hubbub.frames import Frame, SecretFrame

DOCS = Path(__file__).resolve().parent
TEMPLATE, PAGE = DOCS / "protocol.in.md", DOCS / "protocol.md"
_ROOM_PATTERN = next(meta.pattern for meta in typing.get_args(frames.RoomName)[1:])
NOTICE = "<!-- Made by docs/generate_protocol.py from protocol.in.md and hubbub/frames/. -->"


def generate() -> str:
    """The whole page."""
    parts = {
        "notice": NOTICE,
        "client_frames": _sections(typing.get_args(frames.ClientFrame)),
        "answers": _sections(_answers()),
        "news": _sections(_news()),
        "parts": _sections(_parts()),
        "codes": "\n".join(_codes()),
        "example": "\n".join(_example()),
    }
    return string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(_numbers() | parts)


def _numbers() -> dict[str, str]:
    return {name: f"{value:,}" for name, value in vars(frames).items() if isinstance(value, int)}


def _answers() -> list[type[Frame]]:
    return list(typing.get_args(frames.Reply))


def _news() -> list[type[Frame]]:
    answers = set(_answers())
    return [kind for kind in typing.get_args(frames.ServerFrame) if kind not in answers]


def _parts() -> list[type[Frame]]:
    whole = {*typing.get_args(frames.ClientFrame), *typing.get_args(frames.ServerFrame)}
    kinds = [kind for kind in vars(frames).values() if inspect.isclass(kind)]
    bases = {Frame, SecretFrame}
    return [kind for kind in kinds if issubclass(kind, Frame) and kind not in whole | bases]


# --- frames -----------------------------------------------------------------------------------


def _sections(kinds: typing.Iterable[type[Frame]]) -> str:
    lines = []
    for kind in kinds:
        lines += [f"### {kind.__struct_config__.tag}", "", inspect.cleandoc(kind.__doc__ or ""), ""]
        rows = _fields(kind)
        if rows:
            lines += ["| key | type | default | |", "|---|---|---|---|", *rows, ""]
    return "\n".join(lines).strip()


def _fields(kind: type[Frame]) -> list[str]:
    hints = typing.get_type_hints(kind, include_extras=True)
    comments = _comments(kind)
    rows = []
    for field in msgspec.structs.fields(kind):
        hint = hints[field.name]
        if hint in (frames.Ref, frames.Id):
            rows.append(f"| `{field.name}` | [{field.name}](#requests-and-answers) | | |")
            continue
        notes = [text for text in (_described(hint), comments.get(field.name, "")) if text]
        default = "" if field.required else f"`{_default(field)}`"
        rows.append(f"| `{field.name}` | {_type(hint)} | {default} | {_cell(notes)} |")
    return rows


def _cell(notes: list[str]) -> str:
    return "; ".join(notes).replace("|", "or")


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.json.encode(field.default_factory()).decode()
    return msgspec.json.encode(field.default).decode()


def _type(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Annotated:
        base, *metas = typing.get_args(hint)
        limits = [limit for meta in metas for limit in _limits(meta)]
        return _type(base) + (f", {', '.join(limits)}" if limits else "")
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType or origin is typing.Union:
        return " or ".join(_type(arg) for arg in args)
    if origin is list:
        return f"array of {_type(args[0])}"
    if origin is dict:
        return f"map of {_type(args[0])} to {_type(args[1])}"
    if hint is type(None):
        return "nil"
    if hint is msgspec.Raw:
        return "`message` or `event`"
    if isinstance(hint, type) and issubclass(hint, Frame):
        return f"[`{hint.__struct_config__.tag}`](#{hint.__struct_config__.tag})"
    names = {int: "int", str: "str", bytes: "bin", bool: "bool", float: "float"}
    return names[hint]


def _limits(meta: msgspec.Meta) -> list[str]:
    if meta.pattern is not None:
        return [_pattern(meta.pattern)]
    limits = []
    low, high = (meta.ge, meta.le) if meta.ge is not None else (meta.min_length, meta.max_length)
    unit = "" if meta.ge is not None else " long"
    if low is not None and low == high:
        limits.append(f"{low}{unit}")
    elif high is not None:
        above = "2^53 - 1" if high == 2**53 - 1 else f"{high:,}"
        limits.append(f"{low or 0} to {above}{unit}")
    return limits


def _pattern(pattern: str) -> str:
    if words := re.fullmatch(r"\\A\(([a-z|]+)\)\\Z", pattern):
        return "one of " + ", ".join(f"`{word}`" for word in words[1].split("|"))
    return "a [room](#names)" if pattern == _ROOM_PATTERN else "a [name](#names)"


def _described(hint: Any) -> str:
    for meta in typing.get_args(hint)[1:] if typing.get_origin(hint) is typing.Annotated else ():
        if isinstance(meta, msgspec.Meta) and meta.description:
            return meta.description
    return ""


def _comments(kind: type) -> dict[str, str]:
    """The comments at the end of a class's field lines, by field."""
    source = inspect.getsource(kind)
    at_line = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for node in body.body:
        target = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(node, ast.Assign):
            target = node.targets[0]  # type: ignore[assignment]
        if isinstance(target, ast.Name) and node.end_lineno in at_line:
            found[target.id] = at_line[node.end_lineno]
    return found


def _codes() -> list[str]:
    comments = _comments(errors.Code)
    return [
        "| code | asking again later can help | |",
        "|---|---|---|",
        *(
            f"| `{code}` | {'yes' if code.retryable else ''} | {comments.get(code.name, '')} |"
            for code in errors.Code
        ),
    ]


# --- the worked example -----------------------------------------------------------------------


def example_frames() -> list[tuple[str, Frame]]:
    """A guest who registers and talks, and comes again: (who speaks, frame)."""
    key = bytes(range(16))
    at = 1_700_000_000_000
    welcome = frames.Welcome(
        ref=1, session=5, sender=5, name="Rita", token="b3Blbg", epoch=77, gateway="gateway-1"
    )
    return [
        ("client", frames.Hello(ref=1, id=key, name="Rita")),
        ("server", welcome),
        ("client", frames.Join(ref=2, id=key[::-1], room="lobby")),
        (
            "server",
            frames.Roster(
                ref=2, room="lobby", head=41, epoch=77, members=[frames.Person(5, "Rita")]
            ),
        ),
        ("client", frames.Say(ref=3, id=b"\xaa" * 16, room="lobby", text="At 5pm")),
        ("server", frames.Message("lobby", 42, 5, "Rita", "At 5pm", at, 30)),
        ("server", frames.Ok(ref=3, room="lobby", seq=42, at=at)),
        ("client", frames.Register(ref=4, id=b"\xbb" * 16, password="correct horse")),
        ("server", frames.Granted(ref=4, name="Rita", sender=5, device="ZGV2aWNl")),
        ("client", frames.Bye(ref=5, id=b"\xcc" * 16)),
        ("server", frames.Ok(ref=5)),
        # On a new connection.
        ("client", frames.Login(ref=1, id=b"\xdd" * 16, token="ZGV2aWNl")),
        (
            "server",
            msgspec.structs.replace(
                welcome,
                session=6,
                token="YWdhaW4",
                rooms=[frames.RoomState("lobby", 44, 1, 31, mark=42, marked=30)],
                account=True,
            ),
        ),
    ]


def _example() -> list[str]:
    lines = []
    for speaker, frame in example_frames():
        arrow = ">" if speaker == "client" else "<"
        data = frames.encoder.encode(frame)
        lines.append(f"{arrow} {_as_text(frame)}")
        lines += [f"    {data[at : at + 24].hex(' ')}" for at in range(0, len(data), 24)]
    return lines


def _as_text(frame: Frame) -> str:
    fields = msgspec.to_builtins(frame, builtin_types=(bytes,))
    return "{" + ", ".join(f"{key}: {_shown(value)}" for key, value in fields.items()) + "}"


def _shown(value: object) -> str:
    if isinstance(value, bytes):
        return f"<{value.hex()}>"
    if isinstance(value, list):
        return "[" + ", ".join(_shown(one) for one in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(one)}" for key, one in value.items()) + "}"
    return msgspec.json.encode(value).decode()


if __name__ == "__main__":
    PAGE.write_text(generate(), encoding="utf-8")
