"""Encodings of text: blocks of whole lines in UTF-8 from any bytes, and which encoding they have.

UTF-8, and UTF-16 with a byte order mark, are certain. Other encodings are recognized only where
the bytes leave one choice: each `_Script` below describes bytes of everyday text that the others
would decode to nonsense. Otherwise the user must name the encoding.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fastmlp.data.content import Content

__all__ = ["BadBytes", "Encoding", "check_encoding", "encoding_of", "utf8_blocks"]

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Lines with bytes beyond ASCII that are looked at to recognize an encoding.
_MOST_SAMPLE_BYTES = 1 << 18
_LEADS_THREE = re.compile(rb"[\xe0-\xf7]")
_NOT_OF_FILES = ("punycode", "idna", "unicode-escape", "raw-unicode-escape")
_HINT = (
    "name the encoding of the file, such as --encoding latin-1, cp1252, cp1250, cp1251, gbk, big5 "
    "or shift_jis"
)


class BadBytes(Exception):  # noqa: N818, it never leaves the readers of text
    """Text cannot be decoded, or holds a NUL byte.

    Attributes
    ----------
    before : bytes
        The text in UTF-8 of this block before the fault.
    problem : str
        What is wrong with the next byte.
    """

    def __init__(self, before: bytes, problem: str) -> None:
        super().__init__(problem)
        self.before = before
        self.problem = problem


def check_encoding(encoding: str | None) -> None:
    """Raise ValueError unless this is None or the name of an encoding of text."""
    if encoding is None:
        return
    try:
        "".encode(encoding)
        if codecs.lookup(encoding).name in _NOT_OF_FILES:
            raise LookupError
    except (LookupError, UnicodeError, ValueError):
        raise ValueError(
            "encoding must be the name of an encoding of text (--encoding), such as utf-8, "
            f"latin-1, cp1252, gbk, big5 or shift_jis, got {encoding!r}"
        ) from None


# ---------------------------------------------------------------- blocks


def utf8_blocks(content: Content, encoding: str) -> Iterator[bytes]:
    """Yield a text in UTF-8, without a byte order mark, in blocks that end with a line.

    Raises
    ------
    BadBytes
        The text does not have this encoding or holds NUL; the lines before have been yielded.
    """
    plain = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    blocks = content.blocks() if plain else _decoded(content, encoding)
    first = True
    for block in _whole_lines(blocks):
        if first:
            block, first = block.removeprefix(codecs.BOM_UTF8), False
        fault = _fault_in(block)
        if fault is not None:
            raise fault
        if block:
            yield block


def _fault_in(block: bytes) -> BadBytes | None:
    nul = block.find(b"\0")
    if nul >= 0:
        return BadBytes(block[:nul], "holds a NUL byte")
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError as error:
            bad = block[error.start]
            return BadBytes(block[: error.start], f"is not UTF-8: byte 0x{bad:02x}; {_HINT}")
    return None


def _whole_lines(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut bytes after line ends instead of anywhere; a line is never cut."""
    parts: list[bytes] = []
    while True:
        try:
            block = next(blocks, None)
        except BadBytes as fault:
            raise BadBytes(b"".join(parts) + fault.before, fault.problem) from None
        if block is None:
            break
        end = block.rfind(b"\n") + 1
        if end == 0:
            # A CR that ends the block may be one half of a CRLF.
            end = block.rfind(b"\r", 0, len(block) - 1) + 1
        if end == 0:
            parts.append(block)
            continue
        parts.append(block[:end])
        yield b"".join(parts)
        parts = [block[end:]] if end < len(block) else []
    if parts:
        yield b"".join(parts)


def _decoded(content: Content, encoding: str) -> Iterator[bytes]:
    """Yield a text of another encoding in UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)()
    for block in content.blocks():
        yield _decode(decoder, block, encoding, final=False)
    yield _decode(decoder, b"", encoding, final=True)


def _decode(
    decoder: codecs.IncrementalDecoder, block: bytes, encoding: str, *, final: bool
) -> bytes:
    try:
        return decoder.decode(block, final).encode()
    except UnicodeDecodeError as error:
        problem = f"is not {encoding}: byte 0x{error.object[error.start]:02x}; {_HINT}"
        # The object begins with the part of a character that the block before ended with.
        before = error.object[: error.start].decode(encoding, "ignore")
        raise BadBytes(before.encode("utf-8", "ignore"), problem) from None
    except UnicodeEncodeError:
        raise BadBytes(b"", f"is not {encoding}: holds half of a character; {_HINT}") from None
    except UnicodeError as error:
        if re.fullmatch("utf-(16|32)", name := codecs.lookup(encoding).name):
            problem = f"has no byte order mark; --encoding {name}-le or {name}-be says the order"
        else:
            problem = f"{error}; {_HINT}"
        raise BadBytes(b"", f"is not {encoding}: {problem}") from None


# ---------------------------------------------------------------- which encoding


@dataclass(frozen=True)
class Encoding:
    """An encoding that was found, and the decision if it is not certain."""

    name: str
    notes: tuple[str, ...] = ()


def encoding_of(content: Content, usual: str | None = None) -> Encoding | None:
    """Return the encoding that a byte order mark names, or that the bytes leave as the only one.

    Parameters
    ----------
    content : Content
        The file.
    usual : str, optional
        Encoding of text that is not UTF-8, if a model knows it. If it is one of East Asia, UTF-8
        must hold a character of three bytes; UTF-16 without a byte order mark must hold NUL bytes.

    Returns
    -------
    Encoding or None
        None if several encodings, or none that is known here, may be meant.
    """
    head = content.head(4)
    for mark, name in _MARKS.items():
        if head.startswith(mark):
            return Encoding(name)
    longest = _longest_in_utf8(content)
    chosen = None if usual is None else _usual_or_utf8(content, usual, longest)
    if chosen is not None:
        return Encoding(chosen)
    if longest:
        return Encoding("utf-8")
    sample = _lines_beyond_ascii(content)
    if _is_damaged_utf8(sample):
        return None
    fitting = [script for script in _SCRIPTS if _fits(script, sample)]
    if len(fitting) != 1:
        return None
    note = f"encoding: {fitting[0].title}, recognized by its bytes"
    return Encoding(fitting[0].encoding, (note,))


def _longest_in_utf8(content: Content) -> int:
    """Return 0 for text that is not UTF-8, else the most bytes of a character; 3 stands for 4."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    longest = 1
    try:
        for block in content.blocks():
            if not block.isascii() or decoder.getstate()[0]:
                decoder.decode(block)
                longest = max(longest, 3 if _LEADS_THREE.search(block) else 2)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return 0
    return longest


def _usual_or_utf8(content: Content, usual: str, longest: int) -> str | None:
    """Return the encoding of text that usually has `usual`, or None if that cannot be.

    What a short text looks like must not decide. Two bytes that are UTF-8 are often a character
    of East Asia as well, three or more hardly ever are.
    """
    name = codecs.lookup(usual).name
    wide = re.fullmatch("(utf-(?:16|32))(-[lb]e)?", name)
    if wide is not None:
        orders = [name] if wide[2] else [f"{wide[1]}-le", f"{wide[1]}-be"]
        has_nul = any(b"\0" in block for block in content.blocks())
        return next((o for o in orders if has_nul and _holds_text(content, o)), None)
    if longest == 0:
        return usual
    if longest == 1:  # ASCII, or an encoding that writes all characters in it, such as ISO-2022
        signs = bytes(range(0x20, 0x7F)) + b"\x1b$B"
        is_other = signs.decode(name, "replace") != signs.decode() and b"a,1".decode(name) == "a,1"
        return name if is_other and _holds_text(content, name) else "utf-8"
    beyond = bytes(range(0x80, 0x100))
    is_multi_byte = len(beyond.decode(name, "replace")) < len(beyond)
    is_usual = is_multi_byte and longest == 2 and _holds_text(content, name)
    return usual if is_usual else "utf-8"


def _holds_text(content: Content, encoding: str) -> bool:
    """Return whether all bytes can be decoded, and none to NUL."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        texts = (decoder.decode(block) for block in content.blocks())
        return not any("\0" in text for text in texts) and "\0" not in decoder.decode(b"", True)
    except UnicodeError:
        return False


def _lines_beyond_ascii(content: Content) -> bytes:
    lines: list[bytes] = []
    size = 0
    for block in _whole_lines(content.blocks()):
        if block.isascii():
            continue
        for match in re.finditer(rb"[^\r\n]*[\x80-\xff][^\r\n]*", block):
            lines.append(match[0])
            size += len(match[0])
            if size > _MOST_SAMPLE_BYTES:
                return b"\n".join(lines)
    return b"\n".join(lines)


def _is_damaged_utf8(sample: bytes) -> bool:
    """Return whether most characters beyond ASCII are UTF-8, which other encodings never look."""
    sequences = rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
    right = sum(map(len, re.findall(sequences, sample)))
    return 2 * right > len(re.findall(rb"[\x80-\xff]", sample))


@dataclass(frozen=True)
class _Script:
    """An encoding, and whether decoded text looks like one that people write in it.

    `fewest` is the number of characters beyond ASCII, in words that differ, that leave no doubt.
    """

    encoding: str
    title: str
    fewest: int
    is_usual: Callable[[str, bytes], bool]


def _fits(script: _Script, sample: bytes) -> bool:
    try:
        text = sample.decode(script.encoding)
    except UnicodeDecodeError:
        return False
    return _evidence(text) >= script.fewest and script.is_usual(text, sample)


def _evidence(text: str) -> int:
    """Return the number of characters beyond ASCII in words that differ."""
    words = set(re.findall(r"""[^\s,;|"']*[^\0-\x7f\s][^\s,;|"']*""", text))
    return sum(len(re.findall(r"[^\0-\x7f]", word)) for word in words)


_WESTERN_LETTERS = "äöüßÄÖÜéèêëàâçîïôùûœæÉÈÊÀÂÇÎÔŒÆáíóúñÁÍÓÚÑãõÃÕåÅøØìòÌÒ"
# A word with one of these in its middle is of another encoding.
_BESIDE_WORDS = "€£§°²³µ«»“”„…©®™½¼¾±×¿¡"
# Letters that languages have in common with cp1250 stand for themselves there. A text that has
# others must have those of one language, as central European text has those of several.
_COMMON_LETTERS = frozenset("äöüßÄÖÜéëâçîôÉÂÇÎÔáíóúÁÍÓÚ")
_LANGUAGES = tuple(
    frozenset(letters + letters.upper())
    for letters in ("éèêëàâçîïôùûüœ", "áéíóúñü", "áâãàçéêíóôõú", "àèéìòù", "åäöæøéü")
)
_WESTERN_SIGNS = _BESIDE_WORDS + "·\u2013\u2014\u2018\u2019ºª\xa0"


def _is_western(text: str, sample: bytes) -> bool:
    """Accented letters, one or two at a time, inside of words of ASCII letters."""
    del sample
    runs = re.findall(r"[^\0-\x7f]+", text)
    if any(char not in _WESTERN_LETTERS + _WESTERN_SIGNS for run in runs for char in run):
        return False
    if re.search(f"[A-Za-z][{_BESIDE_WORDS}]+[A-Za-z{_WESTERN_LETTERS}]", text):
        return False
    letters = {char for char in text if char in _WESTERN_LETTERS}
    if not letters <= _COMMON_LETTERS and not any(letters <= known for known in _LANGUAGES):
        return False
    words = re.findall(f"[A-Za-z]*[{_WESTERN_LETTERS}]+[A-Za-z]*", text)
    mixed = sum(1 for word in words if re.search("[A-Za-z]", word))
    return 10 * mixed >= 7 * len(words) and all(len(run) <= 3 for run in runs)


def _share(pattern: str, text: str) -> float:
    """Return the share of the characters beyond ASCII that match a pattern."""
    beyond = re.findall(r"[^\0-\x7f]", text)
    return sum(1 for char in beyond if re.match(pattern, char)) / max(len(beyond), 1)


def _pairs(sample: bytes) -> list[bytes]:
    return [
        run[at : at + 2]
        for run in re.findall(rb"[\x80-\xff]+", sample)
        for at in range(0, len(run) - 1, 2)
    ]


# Of names, places, dates, amounts, and of running text.
_FREQUENT_CHINESE = frozenset(
    "的一是不了人我在有他这中大来上国个到说们为子和你地出会也时要就可以对生能而得着下自之年过发后作里用道行所然家种事成方多"
    "张王李刘陈杨黄赵周吴徐孙马朱胡林郭何高罗郑梁谢宋唐许邓冯韩曹曾彭肖蔡潘田董袁于余叶蒋杜苏魏程吕丁沈任姚卢傅钟"
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华建文志海红玉兰春梅"
    "北京海广州深圳天津重庆南西安武汉杭成都东江苏浙山河湖福四川云贵市省县区路号"
    "姓名性别男女龄日期月价格数量编金额单位类型电话址业部门公司产品收入职是否好差优良合格"
)


def _is_chinese(text: str, sample: bytes) -> bool:
    """Common characters of GB 2312, whose two bytes are both beyond ASCII; neither Korean.

    Japanese in EUC-JP has the same bytes, but as Chinese it has hardly any frequent character.
    """
    characters = set(re.findall("[\u4e00-\u9fff]", text))
    frequent = len(characters & _FREQUENT_CHINESE)
    if frequent < 3 or 6 * frequent < len(characters):
        return False
    runs = re.findall(rb"[\x80-\xff]+", sample)
    if sum(len(run) % 2 == 0 for run in runs) < 0.9 * len(runs):
        return False
    pairs = _pairs(sample)
    common = [pair for pair in pairs if 0xB0 <= pair[0] <= 0xD7 and pair[1] >= 0xA1]
    signs = [pair for pair in pairs if pair[0] in (0xA1, 0xA3) and pair[1] >= 0xA1]
    if len(common) + len(signs) < 0.85 * len(pairs) or not common:
        return False
    # Korean characters of EUC-KR end where a third of the Chinese ones begin.
    return sum(pair[0] > 0xC8 for pair in common) >= 0.1 * len(common)


def _is_traditional_chinese(text: str, sample: bytes) -> bool:
    """Common characters of Big5, of which some have a second byte in ASCII."""
    common = re.findall(rb"[\xa4-\xc6][\x40-\x7e\xa1-\xfe]|[\xa1-\xa3][\x40-\x7e\xa1-\xfe]", sample)
    ascii_second = [pair for pair in common if pair[1] < 0x80]
    beyond = len(re.findall(r"[^\0-\x7f]", text))
    return len(common) >= 0.9 * beyond and len(ascii_second) >= 0.15 * beyond and beyond >= 4


def _is_japanese(text: str, sample: bytes) -> bool:
    """Kana, as every Japanese sentence has them."""
    del sample
    kana = _share("[\u3041-\u309f\u30a1-\u30ff]", text)
    usual = _share("[\u3001-\u30ff\u4e00-\u9fff\uff01-\uff5e]", text)
    return kana >= 0.2 and usual >= 0.95


def _is_cyrillic(text: str, sample: bytes) -> bool:
    """Words of Cyrillic letters alone, with the frequent letters frequent."""
    del sample
    letters = re.findall("[\u0400-\u04ff]", text)
    frequent = re.findall("[оеаинтсрвлОЕАИНТСРВЛ]", text)
    mixed = re.search("[A-Za-z][\u0400-\u04ff]|[а-я][А-Я]", text)
    return (
        mixed is None
        and len(letters) >= 20
        and 2 * len(frequent) >= len(letters)
        and _share("[\u0400-\u04ff\u2013\u2014\u00ab\u00bb\u2116\u00a0\u2026]", text) >= 0.95
    )


_SCRIPTS = (
    _Script("cp1252", "Windows-1252", 4, _is_western),
    _Script("gb18030", "GB 18030", 8, _is_chinese),
    _Script("big5", "Big5", 8, _is_traditional_chinese),
    _Script("shift_jis", "Shift JIS", 8, _is_japanese),
    _Script("cp1251", "Windows-1251", 20, _is_cyrillic),
)
