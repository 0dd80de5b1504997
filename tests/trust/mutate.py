"""Damage to files: of bytes, of numbers in them, and of what is inside known containers."""

from __future__ import annotations

import copy
import gzip
import io
import json
import random
import re
import zipfile
from collections.abc import Callable
from typing import Any

__all__ = ["damaged", "damaged_gzip", "damaged_json", "damaged_tree", "damaged_zip"]

_NUMBERS = (0, 1, 2, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40)
_HUGE = (2**62, 2**63 - 1, 2**63, 2**64 - 1)
_TEXTS = (
    b"-1", b"0", b"00", b"1e400", b"-1e-400", b"nan", b"Infinity", b"99999999999999999999",
    b"4294967296", b"2147483648", b"0x10", b"1_000", b"", b"\xff\xfe", b"\0", b"true", b"null",
    b"[]", b"{}", b'"', b"\\u0000", b"1.5", b"9" * 400,
)  # fmt: skip


def _place(chance: random.Random, content: bytes) -> int:
    """Anywhere; more often near the ends, where headers and footers are."""
    if not content:
        return 0
    kind = chance.randrange(4)
    if kind == 0:
        return chance.randrange(min(len(content), 32))
    if kind == 1:
        return len(content) - 1 - chance.randrange(min(len(content), 64))
    return chance.randrange(len(content))


def _flip_bits(chance: random.Random, content: bytes, other: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        if changed:
            changed[_place(chance, content)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _set_byte(chance: random.Random, content: bytes, other: bytes) -> bytes:
    at = _place(chance, content)
    value = chance.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, 0x0A, 0x22, 0x2C))
    return content[:at] + bytes([value]) + content[at + 1 :]


def _truncate(chance: random.Random, content: bytes, other: bytes) -> bytes:
    return content[: _place(chance, content)]


def _extend(chance: random.Random, content: bytes, other: bytes) -> bytes:
    added = chance.choice((b"\0", b"\n", chance.randbytes(5), content, other, bytes(4096)))
    return content + added


def _remove(chance: random.Random, content: bytes, other: bytes) -> bytes:
    at = _place(chance, content)
    return content[:at] + content[at + chance.choice((1, 2, 4, 8, 64)) :]


def _duplicate(chance: random.Random, content: bytes, other: bytes) -> bytes:
    at = _place(chance, content)
    end = at + chance.choice((1, 4, 8, 32, 128))
    return content[:end] + content[at:end] * chance.choice((1, 1, 3)) + content[end:]


def _splice(chance: random.Random, content: bytes, other: bytes) -> bytes:
    return content[: _place(chance, content)] + other[_place(chance, other) :]


def _swap(chance: random.Random, content: bytes, other: bytes) -> bytes:
    size = chance.choice((1, 4, 8, 32))
    a, b = sorted((_place(chance, content), _place(chance, content)))
    if b < a + size or b + size > len(content):
        return _flip_bits(chance, content, other)
    middle = content[a + size : b]
    return (
        content[:a] + content[b : b + size] + middle + content[a : a + size] + content[b + size :]
    )


def _length_field(chance: random.Random, content: bytes, other: bytes) -> bytes:
    width = chance.choice((1, 2, 4, 4, 8, 8))
    number = chance.choice((*_NUMBERS, *_HUGE, len(content), len(content) + 1, len(content) - 9))
    field = (number % 256**width).to_bytes(width, chance.choice(("little", "big")))
    at = _place(chance, content)
    return content[:at] + field + content[at + width :]


def _number_in_text(chance: random.Random, content: bytes, other: bytes) -> bytes:
    found = list(re.finditer(rb"\d+", content[:20_000]))
    if not found:
        return _length_field(chance, content, other)
    match = chance.choice(found)
    choice = chance.choice((*_TEXTS, str(int(match[0][:18]) + 1).encode(), match[0] * 2))
    return content[: match.start()] + choice + content[match.end() :]


def _token(chance: random.Random, content: bytes, other: bytes) -> bytes:
    at = _place(chance, content)
    return content[:at] + chance.choice(_TEXTS) + content[at:]


_MUTATORS: tuple[Callable[[random.Random, bytes, bytes], bytes], ...] = (
    _flip_bits, _flip_bits, _set_byte, _truncate, _extend, _remove, _duplicate, _splice, _swap,
    _length_field, _length_field, _number_in_text, _number_in_text, _token,
)  # fmt: skip


def damaged(chance: random.Random, content: bytes, other: bytes | None = None) -> bytes:
    """`content` with one to three kinds of damage; `other` is what it may be spliced with.

    One in forty stays as it is, which must be read: a reader that refuses all would pass otherwise.
    """
    if chance.random() < 1 / 40:
        return content
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        content = chance.choice(_MUTATORS)(chance, content, content if other is None else other)
    return content


def damaged_gzip(chance: random.Random, content: bytes, other: bytes | None = None) -> bytes:
    """The compressed bytes, or what is in them, with its check sum made anew."""
    if chance.random() < 0.4:
        return damaged(chance, content, other)
    return gzip.compress(damaged(chance, gzip.decompress(content)), mtime=0)


def damaged_zip(chance: random.Random, content: bytes, other: bytes | None = None) -> bytes:
    """The archive's bytes; or a member, with its check sum made anew; or the set of members."""
    if chance.random() < 0.4:
        return damaged(chance, content, other)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    kind = chance.randrange(6)
    at = chance.randrange(len(members))
    name, inner = members[at]
    if kind == 0:
        members.append(members[at])
    elif kind == 1:
        members[at] = (chance.choice(("", "../x.npy", "x", "y.npy", "x_train.npy", "\0")), inner)
    elif kind == 2 and len(members) > 1:
        del members[at]
    else:
        members[at] = (name, damaged(chance, inner))
    stream = io.BytesIO()
    method = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(stream, "w", method) as writer:
        for name, inner in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            writer.fp.flush()  # type: ignore[union-attr]
            # A second member of a name is wanted here; the library only warns.
            writer.writestr(info, inner)
    return stream.getvalue()


_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, 10**400, 1.5, 1e308, -0.0, "", "x", "relu",
    "\0", "mse", [], [1], [[[]]], {}, {"name": "x"}, "9" * 300,
)  # fmt: skip


def damaged_tree(chance: random.Random, tree: Any) -> Any:
    """A copy of what JSON may hold, with one to three values, keys or items changed."""
    result = copy.deepcopy(tree)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        _change_node(chance, result)
    return result


def _change_node(chance: random.Random, node: Any) -> None:
    while True:
        keys: list[Any] = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = chance.choice(keys)
        if isinstance(node[key], (dict, list)) and node[key] and chance.random() < 0.85:
            node = node[key]
            continue
        break
    kind = chance.randrange(6)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[f"{key}x"] = node[key]
    elif kind == 2 and isinstance(node, list):
        node.insert(key, copy.deepcopy(node[key]))
    elif kind == 3 and type(node[key]) in (int, float) and abs(node[key]) < 1e15:
        node[key] = chance.choice((node[key] + 1, -node[key], node[key] * 1000, node[key] + 0.5))
    elif kind == 4:
        node[key] = copy.deepcopy(node[chance.choice(keys)])
    else:
        node[key] = copy.deepcopy(chance.choice(_VALUES))


def damaged_json(chance: random.Random, content: bytes, other: bytes | None = None) -> bytes:
    """The text, or the values in it."""
    if chance.random() < 0.5:
        return damaged(chance, content, other)
    return json.dumps(damaged_tree(chance, json.loads(content))).encode()
