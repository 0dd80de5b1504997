"""The IDX and gzip readers reject every damage with one error and little memory."""

import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmlp import FormatError
from fastmlp._bytes import gunzip_exactly
from fastmlp.datasets.idx import build_idx, parse_idx


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 255))
def test_idx_round_trip(shape, value):
    values = np.full(shape, value, np.uint8)
    np.testing.assert_array_equal(parse_idx(build_idx(values), "f", tuple(shape)), values)


@pytest.mark.parametrize("code", [0x08, 0x09, 0x0B, 0x0C, 0x0D, 0x0E])
def test_idx_types(code):
    dtype = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}[code]
    values = np.array([[1, 2], [100, 4]], dtype)
    content = bytes((0, 0, code, 2, 0, 0, 0, 2, 0, 0, 0, 2)) + values.tobytes()
    np.testing.assert_array_equal(parse_idx(content, "f"), values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "magic: needs 4"),
        (b"\0\0\x08", "magic: needs 4"),
        (b"\x1f\x8b\x08\0" + b"\0" * 20, "gzip-compressed"),
        (b"\0\1\x08\1\0\0\0\1a", "magic: is 00010801"),
        (b"\0\0\x07\1\0\0\0\1a", "type code: 0x07"),
        (b"\0\0\x08\0a", "dimensions: must be"),
        (b"\0\0\x08\xffa", "dimensions: must be"),
        (b"\0\0\x08\2\0\0\0\1a", "sizes: the header"),
        (b"\0\0\x08\1\0\0\0\0", "hold no values"),
        (b"\0\0\x08\1\0\0\0\3ab", "truncated"),
        (b"\0\0\x08\1\0\0\0\1ab", "trailing bytes"),
        (b"\0\0\x08\2" + b"\xff" * 8 + b"a", "need 18446744065119617037 bytes"),
        (b"\0\0\x0e\4" + b"\0\1\0\0" * 4, "truncated"),  # 2**64 values: 0 in 64 bits
    ],
)
def test_idx_damage(content, message):
    with pytest.raises(FormatError, match=message) as caught:
        parse_idx(content, "some/file")
    assert str(caught.value).startswith("some/file: ")


@given(st.binary(max_size=40), st.sampled_from([b"", b"\0\0\x08\1", b"\0\0\x0d\2\0\0\0\2"]))
def test_idx_never_fails_otherwise(tail, head):
    try:
        parse_idx(head + tail, "f")
    except FormatError:
        return


def test_gzip_bomb_is_cut_off():
    import tracemalloc

    bomb = gzip.compress(bytes(200_000_000), compresslevel=1)
    tracemalloc.start()
    with pytest.raises(FormatError, match="must be 100 bytes, got more"):
        gunzip_exactly(bomb, 100, "f")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
