"""Damaged and hostile files, and the message that each must cause.

A case is the name of a file or directory, its content, and a part of the message. Content is
bytes; or a dict of bytes by name, for a directory; or a function that makes the path itself.
"""

import base64
import gzip
import io
import os
import struct
import zipfile
import zlib

import numpy as np

from fastmlp.datasets.idx import build_idx

# ---------------------------------------------------------------- makers


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def raw_npy(header, data=b"", version=b"\1\0"):
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header.encode() + data


def descr(kind, shape="(2,)", order="False"):
    return f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}"


def npz(**arrays):
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def archive(members, method=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as writer:
        for name, content in members.items():
            writer.writestr(zipfile.ZipInfo(name), content, method)
    return stream.getvalue()


def lying_archive(name, content, size):
    """Return an archive with a wrong size of its only member, in both places that hold it."""
    true = struct.pack("<I", len(content))
    packed = archive({name: content}, zipfile.ZIP_DEFLATED)
    assert packed.count(true) == 2
    return packed.replace(true, struct.pack("<I", size))


def changed(content, old, new):
    assert old in content
    return content.replace(old, new)


def flipped(content, position):
    return content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]


def png(height, width, colors=1, depth=8, pixels=True):
    """Return a minimal PNG file: signature, header, pixels without a filter, end."""
    rows = (b"\0" + bytes(width * colors * depth // 8)) * height if pixels else b""
    kind = {1: 0, 3: 2}[colors]
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def idx_set(**replaced):
    arrays = {
        "train-images-idx3-ubyte": build_idx(np.zeros((4, 2, 2), np.uint8)),
        "train-labels-idx1-ubyte": build_idx(np.arange(4, dtype=np.uint8)),
        "t10k-images-idx3-ubyte": build_idx(np.zeros((2, 2, 2), np.uint8)),
        "t10k-labels-idx1-ubyte": build_idx(np.arange(2, dtype=np.uint8)),
    }
    names = dict(zip(("x", "y", "x_test", "y_test"), arrays, strict=True))
    arrays.update({names[role]: content for role, content in replaced.items()})
    return {name: content for name, content in arrays.items() if content is not None}


def idx(code, *sizes, data=b""):
    return bytes((0, 0, code, len(sizes))) + struct.pack(f">{len(sizes)}I", *sizes) + data


def parquet(**columns):
    return arrow("parquet", **columns)


def arrow(form, compression="zstd", **columns):
    """Return a table as Parquet, an Arrow file or an Arrow stream."""
    import polars as pl

    stream = io.BytesIO()
    frame = pl.DataFrame(columns)
    if form == "parquet":
        frame.write_parquet(stream)
    elif form == "arrow":
        frame.write_ipc(stream, compression=compression)
    else:
        frame.write_ipc_stream(stream, compression=compression)
    return stream.getvalue()


def csv_bomb():
    return gzip.compress(b"a,b\n" + b"0,0\n" * 12_000_000, 6)


def eight_million_rows():
    """Return a Parquet file with all rows in one page, which writers do not make by default."""
    import polars as pl

    stream = io.BytesIO()
    frame = pl.DataFrame({"a": np.zeros(8_000_000, np.int8)})
    frame.write_parquet(stream, row_group_size=8_000_000, data_page_size=1 << 30)
    return stream.getvalue()


def same_name_twice():
    import pyarrow as pa
    import pyarrow.parquet

    stream = io.BytesIO()
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pyarrow.parquet.write_table(table, stream)
    return stream.getvalue()


# A file of four texts in which one byte differs from what polars wrote: its decoder then asks for
# so much memory that Rust ends the process.
DEADLY_PARQUET = zlib.decompress(
    base64.b85decode(
        "c-nQ5O>4qH5QaBVM5qUmOh_PyTntLZ>Q+tC+gL&?l{N~c=cI9~U`;XBkNy(rukGy8LoXe6XPEbSXAZkD&ihaX1B@"
        "vZ#+XL;DANfTG@#Le5b98Y3S&B{r3<a3L(LwtO5L`!1ejShQ#18OUX|I7If8*nHqh<PeR-SbJJ1=_nmSpVZ0Zm)t"
        "F~i1-dS`0TVsA}U@&T{9*G8{y;cq9^QV`a;&r)rPpq?cC4=Wk5y=$nsXxwsdnG*}7I>@b3@>BihlA87h;M&=D*2M"
        "16j$&L6?#TFJf7fK)kyB6P(H-?i-v+oB6;vGLS{Y2`8wGaZtLT;Tjra#yI*XJRlad~x8Lo#t@LxX&Rk!FJ)UOQLS"
        ")<*BH&qn!2KZUg$WObLU7?Hi!9`A+mVkJ(~rdTRX@;aS)~"
    )
)
GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")
DATES = np.array(["2024-01-01"], "M8[D]")
X, Y = np.zeros((3, 2)), np.arange(3)
ZEROS_NPY = npy(np.zeros((64, 1024)))

# ---------------------------------------------------------------- tables

TABLES = [
    ("t.csv", b"", "line 1: is empty, it must name the columns"),
    ("t.csv", b"\n\r\n\n", "line 1: is empty"),
    ("t.csv", b"  \n \n", "line 1: is empty"),
    ("t.csv", b"\xef\xbb\xbf", "line 1: is empty"),
    ("t.csv", b"a,b", "line 2: is missing: no row"),
    ("t.csv", b"a,b\r\n\r\n", "line 2: is missing: no row"),
    ("t.csv", b"a,b\n1,2\n3\n4,5\n", "line 3, column 'b': is missing: the line has 1 of 2 fields"),
    ("t.csv", b"a,b\n1,2\n3,4,5\n", "line 3, column 3: has no name: the line has 3 fields, not 2"),
    ("t.csv", b"a,b\r1,2\r3\r", "line 3, column 'b': is missing"),
    ("t.csv", b'a,b\n1,"2\n2"\n3\n', "line 4, column 'b': is missing"),
    ("t.csv", b"a,b,a\n1,2,3\n", "line 1, column 3: has the name 'a', as has column 1"),
    ("t.csv", b"a,,c\n1,2,3\n", "line 1, column 2: has no name"),
    ("t.csv", b"a, ,c\n1,2,3\n", "line 1, column 2: has no name"),
    ("t.csv", b"a,b\n1,x\0y\n", "line 2, column 'b': holds a NUL byte"),
    ("t.csv", b"a,b\0\n1,2\n", "line 1, column 2: holds a NUL byte"),
    ("t.csv", b'a,b\n1,"x\ny\0"\n', "line 3, column 'b': holds a NUL byte"),
    ("t.csv", b"a,b\n1,2\n\xff,3\n", "line 3, column 'a': is not UTF-8: byte 0xff"),
    ("t.csv", b"a,b\n1,\xed\xa0\x80\n", "line 2, column 'b': is not UTF-8"),
    ("t.csv", b"a,b\n" + b"1,\xc3\xa9\n" * 70_000 + b"1,\xe2\x82", "line 70002, column 'b'"),
    ("t.csv", b'a,b\n1,2\n3,"x\n4,5\n', "line 3, column 'b': begins with a quote that is never"),
    ("t.csv", b'"a,b\n1,2\n', "line 1, column 1: begins with a quote that is never closed"),
    ("t.csv", b'a,b\n"x\ny",1\n"z,2\n', "line 4, column 'a': begins with a quote"),
    ("t.csv", b'a,b\n1,"x"y\n', "line 2, column 'b': has text after the closing quote"),
    ("t.csv", b'a,b\nx"y,z"w,1\n', "line 2, column 3: has no name: the line has 3 fields, not 2"),
    ("t.csv", b'a,b\n1,"x\n2",y\n', "line 2, column 3: has no name"),
    ("t.csv", b'a,b\n1,""2"x,y""";""\n', "line 2, column 'b': has text after the closing quote"),
    ("t.csv", b'a,b\n"x" ,2\n', "line 2, column 'a': has text after the closing quote"),
    ("t.csv", b"a,b\n1," + b"x" * 200_000 + b"\n3\n", "line 2: field larger than field limit"),
    ("t.csv", b"a,b\n1\n2,3\n4,5,6\n", "2 places cannot be read:\n  line 2, column 'b': is"),
    ("t.csv", b"a,b\n1\n2,3\n4,5,6\n", "\n  line 4, column 3: has no name: the line has 3 fields"),
    ("t.csv", b"a,b\n" + b"1\n" * 500, "500 places cannot be read:"),
    (
        "t.csv",
        b"a,b\n" + b"1\n" * 500,
        "2 fields; 499 more are like it; complete the lines",
    ),
    ("t.csv", b"a,b\n" + b"1\n" * 20_000, "10000 or more places cannot be read:"),
    ("t.csv", b'a,b\n1,"x"y\n2\n3,"z\n4,5\n', "3 places cannot be read:"),
    ("t.csv", "a,b\n1,łódź\n".encode("cp1250"), "name the encoding of the file, such as --enc"),
    ("t.csv", "a,b\n1,größer\n".encode("cp437"), "line 2, column 'b': is not UTF-8: byte 0x94"),
    ("t.csv", "a,b\n1,2\n".encode("utf-16-le"), "line 1, column 1: holds a NUL byte"),
    ("t.csv", "a,b\n1,2\n".encode("utf-16") + b"\x00", "is not utf-16: byte 0x00"),
    ("t.csv", b"ARROW1\0\0", "file type: is an Arrow file"),
    ("t.csv", gzip.compress(b"a\n1\n"), "file type: is gzip-compressed; its name must end in .gz"),
    ("t.csv", b"PAR1....PAR1", "file type: is a Parquet file"),
    ("t.csv", archive({"x.xml": b""}), "file type: is a zip archive, perhaps a spreadsheet"),
    ("t.tsv", b"a,b\tc\n1,2\n", "line 2, column 'c': is missing: the line has 1 of 2 fields"),
    ("t.csv.gz", b"a,b\n1,2\n", "gzip data: Not a gzipped file"),
    ("t.csv.gz", b"", "line 1: is empty"),
    ("t.csv.gz", gzip.compress(b"a,b\n1,2\n")[:-4], "gzip data: Compressed file ended"),
    ("t.csv.gz", flipped(gzip.compress(b"a,b\n1,2\n"), -5), "gzip data:"),
    ("t.csv.gz", gzip.compress(b"a,b\n1,2\n") + b"x", "gzip data:"),
    ("t.csv.gz", csv_bomb, "times that of the file or more, at most 200 times is allowed"),
    ("t.jsonl", b"", "holds no object"),
    ("t.jsonl", b" \n\n", "holds no object"),
    ("t.jsonl", b"{}\n{}\n", "its objects are empty"),
    ("t.jsonl", b'{"a": 1}\n{"a": \n', "line 2: is no JSON object: Expecting value"),
    ("t.jsonl", b'{"a": 1}\n\n[2]\n', "line 3: must be an object, such as"),
    ("t.jsonl", b'{"a": 1}\nnull\n"x"\n', "2 places cannot be read:\n  line 2: must be an obj"),
    ("t.jsonl", b'{"a": 1}\n{"a": [2]}\n', "line 2, key 'a': must be one value, got an array"),
    ("t.jsonl", b'{"a": {"b": 2}}\n', "line 1, key 'a': must be one value, got an object"),
    ("t.jsonl", b'{"a": 1, "a": 2}\n', "line 1, key 'a': occurs twice"),
    ("t.jsonl", b'{" ": 1}\n', "line 1, key ' ': has no name"),
    ("t.jsonl", b'{"a": "\\ud800"}\n', "line 1, key 'a': holds half of a character"),
    ("t.jsonl", b'{"\\ud800": 1}\n', "line 1, key '\\ud800': holds half of a character"),
    ("t.jsonl", b'{"a": 1}\n{"a": "x\0"}\n', "line 2: holds a NUL byte"),
    ("t.jsonl", b'{"a": 1}\n{"a": "\xff\xfe"}\n', "line 2: is not UTF-8: byte 0xff"),
    ("t.jsonl", b'{"a": ' + b"[" * 100_000, "line 1: is no JSON object"),
    ("t.json", b'[{"a": 1},\n {"a": }]', "line 2: is no JSON object: Expecting value"),
    ("t.json", b'[{"a": 1}, 2]', "object 2: must be an object"),
    ("t.json", b"[" * 100_000, "is no JSON object: is nested too deeply"),
    ("t.json", b"[]", "holds no object"),
    ("t.jsonl.gz", b'{"a": 1}\n', "gzip data: Not a gzipped file"),
    ("t.arrow", b"", "magic: must be ARROW1 at both ends"),
    ("t.feather", b"FEA1" + bytes(40), "magic: is Feather of version 1"),
    ("t.feather", b"ARROW1\0\0" + bytes(40), "magic: must be ARROW1 at both ends; cut off"),
    ("t.arrow", b"ARROW1\0\0" + bytes(40) + b"ARROW1", "Arrow: "),
    ("t.arrow", b"\xff\xff\xff\xff" + bytes(40), ""),
    ("t.arrow", lambda: arrow("arrow", a=[]), "row count: is 0"),
    ("t.arrow", lambda: arrow("arrow", **{" ": [1.0]}), "column 1: has no name"),
    ("t.arrow", lambda: arrow("arrow", a=["x" * 20_000] * 20_000), "decompressed size: is"),
    ("t.arrow", lambda: arrow("stream", a=np.zeros(9_000_000)), "decompressed size: is"),
    ("t.parquet", b"", "magic: must be PAR1 at both ends"),
    ("t.parquet", b"PAR1" + bytes(20), "magic: must be PAR1 at both ends; cut off"),
    ("t.parquet", b"PAR1" + b"\xff" * 8 + b"PAR1", "footer: has 4294967295 bytes, the file 16"),
    ("t.parquet", b"PAR1" + b"\x15" * 8 + b"\x08\0\0\0PAR1", "Parquet: "),
    ("t.parquet", DEADLY_PARQUET, "Parquet: "),
    ("t.parquet", lambda: parquet(a=[]), "row count: is 0"),
    ("t.parquet", lambda: parquet(**{" ": [1.0]}), "column 1: has no name"),
    ("t.parquet", eight_million_rows, "row count: 8000000 rows of 1"),
    ("t.parquet", same_name_twice, "Parquet: "),
]

# ---------------------------------------------------------------- arrays

NPZ = [
    (b"", "zip: File is not a zip file"),
    (npz(x=X, y=Y)[:-30], "zip: "),
    (flipped(npz(x=X, y=Y), 60), "zip: "),
    (archive({}), "must hold an array named x, got nothing"),
    (archive({"../x.npy": npy(X), "/y.npy": npy(Y)}), "named x, got '../x.npy', '/y.npy'"),
    (npz(x=X), "must hold x and y, or x_train and y_train, perhaps x_test and y_test; got x"),
    (npz(x=X, y=Y, x_train=X, y_train=Y), "got x, y, x_train, y_train"),
    (npz(x=X, y=Y, x_test=X), "got x, y, x_test"),
    (npz(x=X, X=X, y=Y), "x: occurs twice"),
    (npz(x=X, y=np.array([1, "b", None], object)), "y: descr: arrays of Python objects are refuse"),
    (npz(x=np.zeros(3, [("a", "f4")]), y=Y), "x: descr: must be one plain type, got a structured"),
    (npz(x=X.astype(complex), y=Y), "x: descr: must be real numbers or text, got '<c16'"),
    (npz(x=X, y=DATES.repeat(3)), "y: descr: must be real numbers or text, got '<M8[D]'"),
    (npz(x=X.astype("U1"), y=Y), "x: must hold real numbers, got dtype <U1"),
    (npz(x=np.array([[0, 1], [np.nan, 3]]), y=Y[:2]), "x: must be finite, got nan at [1, 0]"),
    (npz(x=X - np.inf, y=Y), "x: must be finite, got -inf at [0, 0]"),
    (npz(x=np.full((3, 2), 2**53 + 1), y=Y), "x: integers must be 2**53 at most, got 900719925474"),
    (npz(x=np.zeros(3), y=Y), "x: must have shape (samples, features), none of them 0, got (3,)"),
    (npz(x=np.zeros((0, 2)), y=Y), "x: shape: (0, 2) holds no values"),
    (npz(x=X, y=Y[:2]), "y: must have a target for each of 3 samples of x, got 2"),
    (npz(x=X, y=np.array(1)), "y: must have shape (samples,) or (samples, targets), got ()"),
    (npz(x=X, y=np.zeros((3, 1, 1))), "y: must have shape"),
    (npz(x=X, y=np.array([0, np.nan, 1])), "y: must be finite, got nan at [1, 0]"),
    (npz(x=X, y=np.array([0, 1, 2**64 - 1], np.uint64)), "y: must fit into int64, got 18446744073"),
    (npz(x=X, y=np.full((3, 2), "a")), "y: must be one column of text, got shape (3, 2)"),
    (npz(x=X, y=np.array([b"\xff"] * 3)), "y: must be Unicode text: 'utf-8' codec"),
    (npz(x=X, y=np.array(["\ud800"] * 3)), "y: must be Unicode text: 'utf-8' codec"),
    (npz(x=X, y=np.full(3, 2**31, "u4").view("U1")), "y: must be Unicode text: there is no charac"),
    (npz(x=X, y=Y, x_test=X[:, :1], y_test=Y), "x_test: must be like x, which has 2 columns of fl"),
    (npz(x=X, y=Y, x_test=X.astype("u1"), y_test=Y), "got 2 columns of uint8"),
    (npz(x=X, y=Y, x_test=X, y_test=Y.astype("U1")), "y_test: must be like y, which has 1 column"),
    (archive({"x.npy": npy(X), "y.npy": b"text"}), "y: magic: is b'text', this is not an .npy fil"),
    (archive({"x.npy": ZEROS_NPY}, zipfile.ZIP_LZMA), "x: must be stored or deflated, got method"),
    (
        lying_archive("x.npy", raw_npy(descr("<f8", "(20000, 20000)")), 3_200_000_077),
        "x: shape: (20000, 20000) of float64 cannot come from",
    ),
    (archive({"x.npy": raw_npy(descr("<f8", "(99999, 99999)"))}), "x: file size: shape (99999, 99"),
    (changed(archive({"x.npy": npy(X)}), npy(X)[-48:], bytes(47) + b"\1"), "zip: Bad CRC-32"),
    (changed(archive({"x.npy": npy(X)}), b"\x14\0\0\0\0\0", b"\x14\0\1\0\0\0"), "zip: File"),
]  # fmt: skip
NPY = [
    (b"", "magic: is b'', this is not an .npy file"),
    (b"\x80\x04]\x94.", "magic: "),
    (npy(X)[:-1], "file size: shape (3, 2) of float64 needs 176 bytes, the file has 175: truncate"),
    (npy(X) + b"\0", "the file has 177: trailing bytes"),
    (raw_npy(descr("<f8"), version=b"\7\0"), "version: 7.0 is unknown"),
    (npy(X)[:40], "header: is truncated"),
    (b"\x93NUMPY\2\0\xff\xff\xff\x7f", "header: has 2147483647 bytes, at most 10000 are allowed"),
    (raw_npy("__import__('os').abort()"), "header: must give descr, fortran_order and shape"),
    (raw_npy("{'descr': '<f8', 'shape': (2,)}"), "header: must give"),
    (raw_npy("{" + "'shape': (" * 900), "header: must give"),
    (raw_npy(descr("<f8", "(-2,)")), "header: must give"),
    (raw_npy(descr("<f8", "(" + "1" * 5000 + ")")), "shape: must be up to 32 integers"),
    (raw_npy(descr("<f8", "(" + "1," * 40 + ")")), "shape: must be up to 32 integers"),
    (raw_npy(descr("<f8", "(4294967296, 4294967296)")), "needs 14757395258967641"),
    (raw_npy(descr("<f8", "(4294967296, 0)")), "shape: (4294967296, 0) holds no values"),
    (raw_npy(descr("|O")), "descr: arrays of Python objects are refused"),
    (raw_npy(descr("<f3")), "descr: '<f3' is no type of NumPy"),
    (raw_npy(descr("<U0")), "descr: must have a size"),
    (raw_npy(descr("V8")), "descr: must be real numbers or text, got 'V8'"),
    (npy(np.zeros(4)), "must have shape (samples, features), none of them 0, got (4,)"),
    (npy(np.array(1.0)), "must have shape (samples, features), none of them 0, got ()"),
]
IDX = [
    (idx(8, 3, data=b"abc"), "must have shape (samples, features), none of them 0, got (3,)"),
    (idx(8, 3, 2, data=b"abcde"), "file size: sizes (3, 2) need 18 bytes, the file has 17"),
    (idx(8, 3, 2, data=b"abcdefg"), "trailing bytes"),
    (idx(7, 3, 2, data=b"abcdef"), "type code: 0x07 is none of the IDX types"),
    (idx(13, 1, 2, data=struct.pack(">ff", 1, float("nan"))), "must be finite, got nan at [0, 1]"),
    (gzip.compress(idx(8, 1, 1, data=b"a")), "magic: is gzip-compressed; its name must end in .gz"),
]
GZ_IDX = [
    (b"a,b", "gzip data: Not a gzipped file"),
    (gzip.compress(b"a,b\n1,2\n"), "magic: is 612c620a, this is not an IDX file"),
    (gzip.compress(b"\0\0"), "magic: needs 4 bytes, the file has 2"),
    (gzip.compress(idx(8, 2**32 - 1, 2**32 - 1)), "cannot come from"),
    (gzip.compress(idx(8, 1, 1) + bytes(10**7)), "decompressed size: must be 13 bytes, got more"),
]

# ---------------------------------------------------------------- directories

CLASSES = {"d/a/1.png": png(2, 3), "d/b/1.png": png(2, 3)}
DIRECTORIES = [
    ("d", {}, "must hold a directory of images for each class, the four files of an IDX set"),
    ("d", {"d/readme.txt": b""}, "must hold a directory of images for each class"),
    ("d", CLASSES | {"d/c/.hidden": b""}, "c: must hold images, got nothing"),
    ("d", CLASSES | {"d/1.png": png(2, 3)}, "1.png: must lie in the directory of its class"),
    ("d", CLASSES | {"d/b/notes.txt": b"x"}, "notes.txt: must be an image, one of .png"),
    ("d", CLASSES | {"d/b/2.png": b"text"}, "b/2.png: image: begins like none"),
    ("d", CLASSES | {"d/b/2.png": b""}, "b/2.png: image: begins like none"),
    ("d", CLASSES | {"d/b/2.png": png(2, 3)[:-26]}, "b/2.png: image: cannot be read"),
    ("d", CLASSES | {"d/b/2.png": flipped(png(2, 3), 45)}, "b/2.png: image: cannot be read"),
    ("d", CLASSES | {"d/b/2.png": GIF}, "b/2.png: image: begins like none"),
    ("d", CLASSES | {"d/b/2.png/3.png": png(2, 3)}, "2.png: not a regular file (directory)"),
    ("d", CLASSES | {"d/b/2.png": png(3, 2)}, "2.png: size: must be 3 x 2 pixels in gray like"),
    ("d", CLASSES | {"d/b/2.png": png(2, 3, 3)}, "got 3 x 2 pixels in color"),
    ("d", CLASSES | {"d/b/2.png": png(2, 3, depth=16)}, "mode: must have 8 bits per channel"),
    ("d", {"d/a/1.png": png(5000, 5000, pixels=False)}, "size: must be 16777216 pixels at most"),
    ("d", {"d/a/1.png": png(60000, 60000, pixels=False)}, "1.png: image: cannot be read"),
    ("d", CLASSES | {"d/b/2.png": lambda path: os.mkfifo(path)}, "2.png: not a regular file (FIFO"),
    ("d", {f"d/{part}/a/1.png": png(2, 3) for part in ("train", "test", "val")}, "val: must not b"),
    ("d", {"d/train/a/1.png": png(2, 3), "d/test/z/1.png": png(2, 3)}, "test/z: must be one of th"),
]  # fmt: skip
IDX_DIRECTORIES = [
    (idx_set(x_test=None), "must hold t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz"),
    (idx_set(y=build_idx(np.zeros(3, np.uint8))), "y_train: must have a target for each of 4"),
    (idx_set(y=idx(13, 4, data=bytes(16))), "train-labels-idx1-ubyte: labels must be a list of in"),
    (idx_set(y=build_idx(np.zeros((4, 1), np.uint8))), "labels must be a list of integers, got 2"),
    (idx_set(x=build_idx(np.zeros((4, 3), np.uint8))), "x_test: must be like x_train, which has 3"),
    (idx_set(x=build_idx(np.zeros(4, np.uint8))), "x_train: must have shape (samples, features)"),
    (idx_set(x=b"\0\0\x08\3"), "train-images-idx3-ubyte: sizes: the header needs 16 bytes"),
]
SPECIAL = [
    ("t.csv", lambda path: os.mkfifo(path), "not a regular file (FIFO)"),
    ("t.npz", lambda path: os.symlink("/dev/zero", path), "not a regular file (character device)"),
    ("t.csv", lambda path: os.mkdir(path), "must be a file, got a directory"),
    ("t.xlsx", b"PK", "file type: must be one of .csv, .tsv, .tab, .psv, .txt, .jsonl"),
    ("t.parquet.gz", b"", "file type: must be one of"),
]
