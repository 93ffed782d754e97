"""Good frames of every type, made from the types themselves: none can be forgotten."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import inspect

from hubbub import frames

ID = b"0123456789abcdef"
_TEXTS = ("lobby", "owner", "here", "@1:2")
_ENTRY = frames.encoder.encode(frames.Message("lobby", 1, 7, "Radha", "hello", 1))


def frames_of(union: Any) -> Iterator[bytes]:
    """Each frame of a union twice: with what it must have, and with all that it can have."""
    for kind in typing.get_args(union):
        for whole in (False, True):
            yield frames.encoder.encode(example(kind, whole))


def example(kind: Any, whole: bool) -> Any:
    """A value of a type; `whole`: also the fields that may be left out, and lists with items."""
    return msgspec.convert(_plain(inspect.type_info(kind), whole), kind)


def words_of(union: Any) -> list[bytes]:
    """The names of the frames of a union, and those of their fields."""
    found: dict[str, None] = {}
    for kind in typing.get_args(union):
        info = inspect.type_info(kind)
        if isinstance(info, inspect.StructType):
            found[str(info.tag)] = None
            found.update(dict.fromkeys(field.encode_name for field in info.fields))
    return [word.encode() for word in found]


def _plain(info: inspect.Type, whole: bool) -> Any:
    if isinstance(info, inspect.Metadata):
        return _plain(info.type, whole)
    if isinstance(info, inspect.StructType):
        return _struct(info, whole)
    if isinstance(info, inspect.UnionType):
        return _plain(next(one for one in info.types if one != inspect.NoneType()), whole)
    if isinstance(info, inspect.ListType):
        return [_plain(info.item_type, whole)] if whole else []
    if isinstance(info, inspect.TupleType):
        return [_plain(item, whole) for item in info.item_types]
    if isinstance(info, inspect.DictType):
        return {_plain(info.key_type, whole): _plain(info.value_type, whole)} if whole else {}
    if isinstance(info, inspect.StrType):
        return next(text for text in _TEXTS if re.search(info.pattern or "", text))
    if isinstance(info, inspect.BytesType):
        return ID
    if isinstance(info, inspect.RawType):
        return msgspec.Raw(_ENTRY)
    if isinstance(info, inspect.IntType):
        return min(7 if whole else 1, 7 if info.le is None else info.le)
    simple = {inspect.BoolType: whole, inspect.FloatType: 1.5, inspect.NoneType: None}
    return simple[type(info)]


def _struct(info: inspect.StructType, whole: bool) -> Any:
    values = {
        field.encode_name: _plain(field.type, whole)
        for field in info.fields
        if whole or field.required
    }
    if info.array_like:
        return [*([info.tag] if info.tag is not None else []), *values.values()]
    return values | ({} if info.tag_field is None else {info.tag_field: info.tag})
