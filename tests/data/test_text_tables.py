"""Everyday text files: headers, separators, comments, indices and encodings, and their options."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastmlp import FormatError
from fastmlp.data import read_samples
from fastmlp.data.delimited import read_delimited
from fastmlp.data.encodings import encoding_of
from fastmlp.data.table import Reading

pl = pytest.importorskip("polars")


def table_of(text, written_in="utf-8", **options):
    content = text if isinstance(text, bytes) else text.encode(written_in)
    return read_delimited(content, "t.csv", Reading(**options))


def lists(table):
    return {name: cells.to_list() for name, cells in table.columns.items()}


# ---------------------------------------------------------------- header

DATA = [
    "5.1,3.5,setosa\n4.9,3.0,setosa\n",
    "1,2\n3,4\n",
    "5,0,0\n1,2,3\n",
    "0\n1\n2\n",
    "2020\n2021\n",
    "2020,5\n2021,6\n",
    "2020,x\n2021,y\n",
    "1,x,?\n2,y,3\n",
    "NA,1.5\n2,3\n",
    ",1.5\n2,3\n",
    "-1e-3,x\n1e5,y\n",
    "1,2\n",
]
NAMED = [
    "a,b\n1,2\n",
    "a,b\nx,y\n",
    "0,1,2\n5.1,3.5,setosa\n",
    ",0,1\n0,5.1,3.5\n1,4.9,3.0\n",
    "country,1990,1991,1992\nA,5,6,7\n",
    "id,3\n1,2\n2,5\n",
    "1,2\nx,y\n",
    "a,b\n",
    "2019,2020\n1.5,2.5\n",
]


@pytest.mark.parametrize("text", DATA[:-1])
def test_numbers_above_numbers_are_no_header(text):
    table = table_of(text)
    rows = [line.split(",") for line in text.splitlines()]
    width = len(rows[0])
    names = [f"column_{at}" for at in range(1, width + 1)]
    assert lists(table) == dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    assert (table.header, table.first_line, table.index) == (False, 1, ())
    last = f" to column_{width}" if width > 1 else ""
    assert table.notes == (
        "header: none, line 1 holds numbers as the rows below it do; the columns are "
        f"column_1{last} (--header if they are names)",
    )


@pytest.mark.parametrize("text", NAMED)
def test_names_are_a_header(text):
    names = text.splitlines()[0].split(",")
    if text.count("\n") == 1:
        with pytest.raises(FormatError, match="line 2: is missing: no row"):
            table_of(text)
        return
    table = table_of(text)
    assert table.header
    assert list(table.columns) == [name or "index" for name in names]
    assert table.first_line == 2
    assert not any(note.startswith("header") for note in table.notes)


def test_the_caller_knows_better():
    table = table_of("1,2\n3,4\n", header=True)
    assert lists(table) == {"1": ["3"], "2": ["4"]}
    assert table.notes == ()
    table = table_of("a,b\n3,4\n", header=False)
    assert lists(table) == {"column_1": ["a", "3"], "column_2": ["b", "4"]}
    assert (table.notes, table.header, table.first_line) == ((), False, 1)
    assert lists(table_of("1,2\n", header=False)) == {"column_1": ["1"], "column_2": ["2"]}


def test_names_of_the_caller():
    names = ("p", "q")
    assert lists(table_of("1,2\n3,4\n", names=names)) == {"p": ["1", "3"], "q": ["2", "4"]}
    assert lists(table_of("x,y\nz,w\n", names=names)) == {"p": ["x", "z"], "q": ["y", "w"]}
    assert lists(table_of("p,q\n3,4\n", names=names)) == {"p": ["3"], "q": ["4"]}
    assert lists(table_of("p,q\nx,y\n", names=names, header=True)) == {"p": ["x"], "q": ["y"]}
    assert lists(table_of("p,q\nx,y\n", names=names, header=False))["p"] == ["p", "x"]
    assert lists(table_of("q\n3\n", names=names)) == {"q": ["3"]}
    three = {"names": ("p", "q", "r"), "input_names": ("p", "r")}
    assert lists(table_of("1,2\n3,4\n", **three)) == {"p": ["1", "3"], "r": ["2", "4"]}
    with pytest.raises(
        FormatError, match=r"line 1: has 1 fields, .* 3 columns \(p, q, r\), or 2 without the tar"
    ):
        table_of("1\n3\n", **three)
    for options in ({}, {"header": True}):
        with pytest.raises(
            FormatError, match=r"line 1: names the columns a, b, .* got p, q; --no-h"
        ):
            table_of("a,b\n1,2\n", names=names, **options)


# ---------------------------------------------------------------- separator


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a;b\n1,5;2,5\n3,5;4,5\n", {"a": ["1,5", "3,5"], "b": ["2,5", "4,5"]}),
        ("a;b\n1,5;x\n2,5;y\n", {"a": ["1,5", "2,5"], "b": ["x", "y"]}),
        ("temp;C,b\n1,2\n3,4\n", {"temp;C": ["1", "3"], "b": ["2", "4"]}),
        ("a\tb\n1\tx, y\n2\tz\n", {"a": ["1", "2"], "b": ["x, y", "z"]}),
        ("a|b\n1|x, y\n2|z\n", {"a": ["1", "2"], "b": ["x, y", "z"]}),
        ("a,b\n1,x;y\n2,z;w\n", {"a": ["1", "2"], "b": ["x;y", "z;w"]}),
        ('a,b\n"1;2;3",x\n"4;5;6",y\n', {"a": ["1;2;3", "4;5;6"], "b": ["x", "y"]}),
        ("a b\n1 2\n", {"a b": ["1 2"]}),
        ("sep=;\na,b;c\n1;2\n", {"a,b": ["1"], "c": ["2"]}),
    ],
)
def test_the_separator_is_that_of_most_lines(text, expected):
    assert lists(table_of(text)) == expected


def test_decimal_commas_without_a_header():
    table = table_of("1,5;2,5\n2,5;3,5\n4,5;7,0\n")
    assert lists(table) == {"column_1": ["1,5", "2,5", "4,5"], "column_2": ["2,5", "3,5", "7,0"]}
    table = table_of("1,5;2\n2,5;3\n4,5;7\n")
    assert lists(table) == {"column_1": ["1,5", "2,5", "4,5"], "column_2": ["2", "3", "7"]}


@pytest.mark.parametrize("separator", [" ", ":", "~", "^", "\x01", "\x1f"])
def test_a_separator_that_a_model_knows(separator):
    text = "price,size\n1,2\n3,4\n".replace(",", separator)
    expected = {"price": ["1", "3"], "size": ["2", "4"]}
    table = table_of(text, separator=separator)
    assert (lists(table), table.separator) == (expected, separator)
    known = {"usual_separator": separator, "wanted": frozenset(expected)}
    table = table_of(text, **known)
    assert (lists(table), table.separator) == (expected, separator)
    for common in ",;\t|":
        table = table_of(text.replace(separator, common), **known)
        assert (lists(table), table.separator) == (expected, common)


@pytest.mark.parametrize("name", ["tab", "TAB", "\\t", "\t"])
def test_names_of_the_tab(name):
    table = table_of("a,1\tb\n1\t2\n", separator=name)
    assert (lists(table), table.separator) == ({"a,1": ["1"], "b": ["2"]}, "\t")
    for wrong in ("tabs", "\\n", "ab", "a", "", '"'):
        with pytest.raises(ValueError, match="separator must be one ASCII character .*, or tab"):
            table_of("a\n1\n", separator=wrong)


# ---------------------------------------------------------------- comments and blank lines


@pytest.mark.parametrize(
    ("text", "expected", "first_line"),
    [
        ("# made by hand\na,b\n1,2\n", {"a": ["1"], "b": ["2"]}, 3),
        ("# made, by hand\na,b\n1,2\n", {"a": ["1"], "b": ["2"]}, 3),
        ("#made, by hand\na,b\n1,2\n", {"a": ["1"], "b": ["2"]}, 3),
        ("\n#x\n\n# y\na,b\n1,2\n", {"a": ["1"], "b": ["2"]}, 6),
        ("#id,name\n1,x\n2,y\n", {"#id": ["1", "2"], "name": ["x", "y"]}, 2),
        ("#id,name\nx,y\nz,w\n", {"#id": ["x", "z"], "name": ["y", "w"]}, 2),
        ("# a,b\n1,2\n3,4\n", {"a": ["1", "3"], "b": ["2", "4"]}, 2),
        ("# by me\n#id,name\n1,x\n", {"#id": ["1"], "name": ["x"]}, 3),
        ("# 1,2\na,b\n1,2\n", {"a": ["1"], "b": ["2"]}, 3),
        ("# by me\n1,2\n3,4\n", {"column_1": ["1", "3"], "column_2": ["2", "4"]}, 2),
        ("#" * 300 + "\n" + "# x\n" * 300 + "a,b\n1,2\n", {"a": ["1"], "b": ["2"]}, 303),
        ("a\n#1\n#2\n", {"a": ["#1", "#2"]}, 2),
        ("a,b\n#1,2\n#3,4\n", {"a": ["#1", "#3"], "b": ["2", "4"]}, 2),
    ],
)
def test_comments_before_the_rows(text, expected, first_line):
    table = table_of(text)
    assert lists(table) == expected
    assert table.first_line == first_line


def test_comments_between_rows():
    text = 'a,b\n1,2\n# one\n3,4\n# two, "with, quotes\n5,6\n# three\n'
    table = table_of(text)
    assert lists(table) == {"a": ["1", "3", "5"], "b": ["2", "4", "6"]}
    assert table.lines.tolist() == [2, 4, 6]
    assert table.notes == ("comments: 3 lines that start with # left out",)
    error = table.rows(np.array([2])).error(0, "a", "is wrong")
    assert str(error) == "t.csv: line 6, column 'a': is wrong"


@pytest.mark.parametrize("sign", ["", "-", "+", " "])
def test_integers_beyond_those_of_floats_stay_text(sign):
    few = [str(2**53 - at) for at in range(2000)]
    text = "a\n" + "".join(f"{sign}{number}\n" for number in few)
    assert table_of(text).columns["a"].dtype == pl.Float64
    for beyond in (2**53 + 1, 2**53 + 2, 2**54, 10**18, 10**300):
        text_beyond = text + f"{sign}{2**53}\n{sign}{beyond}\n"
        cells = table_of(text_beyond).columns["a"]
        assert cells.dtype == pl.String, beyond
        assert cells[0] == f"{sign}{2**53}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\n" + "1,2,3,\n" * 32,
         "line 2, column 4: has no name: the line has 4 fields, not 3; 31 more are like it; remove "
         "the separators at the ends"),
        ("a report\n" + "p,q,r\n" + "1,2,3\n" * 31,
         "line 2, column 2: has no name: the line has 3 fields, not 1; 31 more are like it; if "
         "line 2 has the names of the columns, remove the lines above"),
        ("a,b" + "," * 32 + "\n" + "1" + "," * 33 + "\n",
         "column 3: has no name; line 1 must name the columns; 31 more are like it; remove"),
        ("a," + ",".join(["b"] * 33) + "\n" + "1" + ",2" * 33 + "\n",
         "column 3: has the name 'b', as has column 2; line 1 must name the columns; 31 "
         "more are like it; give each"),
    ],
)  # fmt: skip
def test_many_faults_of_one_kind_are_told_once(text, message):
    with pytest.raises(FormatError) as caught:
        table_of(text, separator=",", header=True)
    first, *lines = str(caught.value).splitlines()
    assert first == "t.csv: 32 places cannot be read:"
    assert len(lines) == 1
    assert message in lines[0]


# ---------------------------------------------------------------- index


def test_the_index_that_pandas_writes():
    table = table_of(",a,index\n0,x,y\n1,z,w\n")
    assert lists(table) == {"index_1": ["0", "1"], "a": ["x", "z"], "index": ["y", "w"]}
    assert table.index == ("index_1",)
    assert table.notes == ("index: column 1 has no name, it numbers the rows and is no feature",)
    table = table_of("Unnamed: 0,a\n0,x\n")
    assert table.index == ("Unnamed: 0",)
    assert table_of("a,Unnamed: 0\n0,x\n").index == ()
    with pytest.raises(FormatError, match="line 1, column 2: has no name"):
        table_of(",,a\n0,x,y\n")
    with pytest.raises(FormatError, match="3 places cannot be read"):
        table_of("a,,a,\n1,x,y,z\n")


def test_an_index_that_the_caller_names(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,a\n1,x\n")
    assert read_samples(path, reading=Reading(index_column="id")).index == ("id",)
    with pytest.raises(FormatError, match="column 'idd', which numbers the rows, is missing.*'id'"):
        read_samples(path, reading=Reading(index_column="idd"))


# ---------------------------------------------------------------- encodings

GERMAN = "Stadt;Größe\nKöln;groß\nMünchen;größer\nÜberlingen;klein\nWien;5 €\n"
FRENCH = "prénom,ville\nZoé,Orléans\nRené,Besançon\nJérôme,Nîmes\nGaëlle,l\u2019Haÿ\n".replace(
    "ÿ", "y"
)
CHINESE = "姓名,城市,性别\n张伟,北京,男\n王芳,上海,女\n李娜,广州,女\n刘洋,深圳,男\n"
TAIWANESE = "姓名,城市,性別\n陳志明,台北,男\n林美玲,高雄,女\n黃淑芬,台中,女\n張家豪,台南,男\n"
JAPANESE = "なまえ,都市,せつめい\nさくら,東京,はなのなまえです\nケンタ,大阪,テストのデータ\n"
RUSSIAN = "имя,город\nИван,Москва\nЕкатерина,Новосибирск\nАлексей,Екатеринбург\n"
KOREAN = "이름,도시\n김철수,서울\n이영희,부산\n박민수,대구\n최지우,인천\n정하나,광주\n"
POLISH = "imię,miasto\nŁukasz,Łódź\nStanisław,Kraków\nMałgorzata,Poznań\n"
TURKISH = "şehir,isim\nİstanbul,Ayşe\nİzmir,Çağrı\nMuğla,Yağmur\n"
GREEK = "όνομα,πόλη\nΓιώργος,Αθήνα\nΜαρία,Θεσσαλονίκη\nΕλένη,Πάτρα\n"


@pytest.mark.parametrize(
    ("text", "encoding", "name"),
    [
        (GERMAN, "cp1252", "Windows-1252"),
        (GERMAN.replace("€", "E"), "latin-1", "Windows-1252"),
        (FRENCH, "cp1252", "Windows-1252"),
        ("niño,año\nMuñoz,¿qué?\nLeón,España\nJosé,Cádiz\n", "latin-1", "Windows-1252"),
        ("smörgås,Ångström\nål,Ørsted\nMalmö,Ålesund\n", "latin-1", "Windows-1252"),
        (
            "cidade\nSão Paulo\nBelém\nBrasília\nMaceió\nGoiânia\nPará\nCeará\nEstação\n",
            "latin-1",
            "Windows-1252",
        ),
        (CHINESE, "gbk", "GB 18030"),
        (CHINESE, "gb18030", "GB 18030"),
        (TAIWANESE, "big5", "Big5"),
        (JAPANESE, "shift_jis", "Shift JIS"),
        (RUSSIAN, "cp1251", "Windows-1251"),
    ],
)
def test_an_everyday_encoding_is_recognized(text, encoding, name):
    table = table_of(text, encoding)
    assert lists(table) == lists(table_of(text))
    assert table.notes == (f"encoding: {name}, recognized by its bytes",)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (KOREAN, "euc_kr"),
        (JAPANESE, "euc_jp"),
        (POLISH, "cp1250"),
        (TURKISH, "cp1254"),
        (GREEK, "cp1253"),
        (RUSSIAN, "koi8_r"),
        (RUSSIAN, "cp866"),
        (RUSSIAN, "mac_cyrillic"),
        (GERMAN.replace("€", "E"), "cp850"),
        (GERMAN, "mac_roman"),
        (FRENCH, "mac_roman"),
        ("a\nñ\n", "latin-1"),
        ("a,b\n1,größer\n", "latin-1"),
        ("t,°C\n1,2\n", "latin-1"),
        ("price\n£12\n£15\n", "latin-1"),
        ("性别\n男\n女\n男\n", "gbk"),
        ("a\n男\n", "gbk"),
        ("a\n女\n", "big5"),
        ("city\nPlzeň\n", "cp1250"),
        ("city\n" + "Plzeň\n" * 100, "cp1250"),
        ("city\nPlzeň\nPříbram\nPísek\nBřeclav\nKroměříž\n".replace("ž", "z"), "cp1250"),
        ("město\nPlzeň\nZlín\nTřebíč\nKolín\nDěčín\nČeský Těšín\n", "iso8859_2"),
        ("nimi\nGyőr\nMakó\nKőszeg\nEgerlövő\nSümeg\nTóalmás\nFűzfő\n", "cp1250"),
        ("a\nÀ la carte\n", "latin-1"),
        ("a\n" + "À la carte\n" * 50, "latin-1"),
        ("氏名\n東京\n大阪\n鈴木\n佐藤\n京都\n札幌\n福岡\n仙台\n", "euc_jp"),
        ("имя\nИван\n", "cp1251"),
    ],
)
def test_an_unclear_encoding_is_asked_for_and_taken(text, encoding):
    with pytest.raises(FormatError) as caught:
        table_of(text, encoding)
    first = next(line for line, row in enumerate(text.splitlines(), 1) if not row.isascii())
    assert f"t.csv: line {first}" in str(caught.value)
    assert "is not UTF-8: byte 0x" in str(caught.value)
    assert "name the encoding of the file, such as --encoding latin-1" in str(caught.value)
    table = table_of(text.encode(encoding), encoding=encoding)
    assert lists(table) == lists(table_of(text))
    assert table.notes == ()


def test_damaged_utf8_is_no_other_encoding():
    text = "a,b\n" + "é,größer\n" * 20
    content = text.encode() + b"x,\xe9y\n" + text.encode()
    with pytest.raises(FormatError, match="line 22, column 'b': is not UTF-8: byte 0xe9"):
        table_of(content)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_unicode_in_every_form(encoding):
    named = {} if encoding in ("utf-8", "utf-8-sig", "utf-16") else {"encoding": encoding}
    table = table_of(CHINESE.encode(encoding), **named)
    assert lists(table) == lists(table_of(CHINESE))
    assert table.notes == ()


def test_characters_across_blocks(monkeypatch):
    monkeypatch.setattr("fastmlp.data.content.BLOCK_BYTES", 7)
    for text, encoding in ((CHINESE, "gb18030"), (JAPANESE, "shift_jis"), (GERMAN, "utf-16")):
        assert lists(table_of(text, encoding)) == lists(table_of(text))
    with pytest.raises(FormatError, match=r"line 3, column '性别': is not gbk: byte 0x80"):
        table_of(CHINESE.encode("gbk")[:40] + b"\x80,\n", encoding="gbk")


def test_an_encoding_must_be_one_of_text():
    for wrong in (
        "nonsense",
        "punycode",
        "idna",
        "unicode_escape",
        "raw_unicode_escape",
        "rot13",
        "base64",
        "",
        "utf-8\0",
    ):
        with pytest.raises(ValueError, match="encoding must be the name of an encoding of text"):
            table_of("a\n1\n", encoding=wrong)
    for name in ("utf-16", "utf-32"):
        problem = f"t.csv: line 1, column 1: is not {name}: has no byte order mark; "
        with pytest.raises(FormatError, match=f"{problem}--encoding {name}-le or {name}-be"):
            table_of("a,b\n1,2\n".encode(f"{name}-le"), encoding=name)
    with pytest.raises(FormatError, match="line 2, column 'b': is not ascii: byte 0xc3"):
        table_of("a,b\n1,é\n", encoding="ascii")


@pytest.mark.parametrize("text", [GERMAN, FRENCH, CHINESE, TAIWANESE, JAPANESE, RUSSIAN, KOREAN,
                                  POLISH, TURKISH, GREEK])  # fmt: skip
def test_no_encoding_is_taken_for_another(text):
    """Every encoding of a text: it is recognized rightly, or it is asked for."""
    from fastmlp.data.content import Content

    for encoding in ("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "koi8_r", "gbk", "big5",
                     "shift_jis", "euc_jp", "euc_kr", "mac_roman", "cp850", "iso8859_2",
                     "iso8859_5", "iso8859_15", "cp866", "johab"):  # fmt: skip
        try:
            content = text.encode(encoding)
        except UnicodeEncodeError:
            continue
        found = encoding_of(Content("t", data=content))
        assert found is None or content.decode(found.name) == text, (encoding, found)


@pytest.mark.parametrize("usual", ["gbk", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr",
                                   "cp932", "cp949"])  # fmt: skip
def test_the_rows_of_a_file_do_not_decide_its_usual_encoding(usual):
    """Each pair of bytes, alone in a file, is read as in a file of many."""
    for lead in range(0xC2, 0xE0):
        for trail in range(0x80, 0xC0):
            pair = bytes([lead, trail])
            try:
                text = pair.decode(usual)
            except UnicodeDecodeError:
                continue
            table = table_of(b"a,b\n1," + pair + b"\n", usual_encoding=usual)
            assert lists(table) == {"a": ["1"], "b": [text]}, pair
            assert table.encoding == usual


@pytest.mark.parametrize("usual", ["gbk", "shift_jis", "euc_kr", "cp1252", "cp1251", "utf-8",
                                   "utf-16", "cp500"])  # fmt: skip
def test_utf8_is_read_whatever_is_usual(usual):
    for text in (CHINESE, JAPANESE, KOREAN, "a,b\n1,2\n", "a,b\n1,x\u20ac\n"):
        table = table_of(text, usual_encoding=usual)
        assert lists(table) == lists(table_of(text))
        assert table.encoding == "utf-8"


@pytest.mark.parametrize("usual", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be",
                                   "iso2022_jp", "hz", "cp500", "cp1252"])  # fmt: skip
@pytest.mark.parametrize("text", ["a,b\n1,x\n", "a,b\n1,\u5973\n", "a,b\n1,\xe9\n"])
def test_usual_encodings_without_a_mark(usual, text):
    try:
        content = text.encode({"utf-16": "utf-16-le", "utf-32": "utf-32-be"}.get(usual, usual))
    except UnicodeEncodeError:
        pytest.skip("the encoding lacks the character")
    assert lists(table_of(content, usual_encoding=usual)) == lists(table_of(text))


# ---------------------------------------------------------------- blocks

pieces = st.text(st.sampled_from('ab",\r\n #é1'), max_size=12)


@settings(max_examples=300)
@given(st.lists(pieces, max_size=8), st.sampled_from(["\n", "\r\n", "\r"]), st.integers(1, 9))
def test_blocks_of_any_size_hold_the_same_table(parts, glue, size):
    content = ("p,q" + glue + glue.join(parts)).encode()

    def outcome():
        try:
            table = read_delimited(content, "t", Reading(separator=",", header=True))
        except FormatError as error:
            return str(error)
        lines = [table.place(row) for row in range(len(table))]
        return lists(table), lines, table.notes

    with pytest.MonkeyPatch.context() as patch:
        whole = outcome()
        patch.setattr("fastmlp.data.content.BLOCK_BYTES", size)
        assert outcome() == whole


def test_single_columns_in_blocks_of_any_size():
    content = b'a\n\n1\n\n\n2\r\n\r\n""\n"x\n\ny"\n3\n\n\n'
    cells = ["", "1", "", "", "2", "", "", "x\n\ny", "3", "", ""]
    for size in range(1, 40):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("fastmlp.data.content.BLOCK_BYTES", size)
            table = read_delimited(content, "t")
        assert table.columns["a"].to_list() == cells
        assert [table.place(row) for row in (8, 9, 10)] == ["line 12", "line 13", "line 14"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_blank_lines_are_missing_values_of_a_single_column(monkeypatch, end, size):
    monkeypatch.setattr("fastmlp.data.content.BLOCK_BYTES", size)
    for cells in (["1", ""], ["1", "", ""], [""], ["", "", ""], ["", "x"], ["1", "", "2"], ["1"]):
        text = end.join(["a", *cells]) + end
        assert table_of(text).columns["a"].to_list() == cells
        frame = pl.DataFrame({"a": [cell or None for cell in cells]})
        written = frame.write_csv(line_terminator=end).encode()
        assert table_of(written).columns["a"].to_list() == cells
        if cells[-1]:
            assert table_of(text.removesuffix(end)).columns["a"].to_list() == cells
    with pytest.raises(FormatError, match="no row follows"):
        table_of("a" + end)
    with pytest.raises(FormatError, match="is empty"):
        table_of(end * 3)
    assert lists(table_of(f"a,b{end}1,2{end}{end}{end}")) == {"a": ["1"], "b": ["2"]}
