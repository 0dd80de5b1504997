"""The columns of a table in C: a struct for a row, and the function that makes inputs of it.

The code repeats `encode_table` and the standardization in float64, so that its inputs are those of
`Preprocessing.inputs` to the last bit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from fastmlp.data.cells import FALSE_WORDS, TRUE_WORDS
from fastmlp.data.columns import DATE_PARTS, CategoryColumn, Column, DateColumn, NumberColumn
from fastmlp.export.c_text import (
    NAME,
    Scalar,
    array_lines,
    comment_text,
    names_lines,
    string_literal,
)
from fastmlp.export.inference import Inference
from fastmlp.export.table_rows import (
    LATEST,
    MEANINGS,
    WHITE_SPACE,
    category_numbers,
    form_of,
    identifiers,
    missing_inputs,
    missing_tokens,
)

__all__ = ["RowWriter", "field_names"]

Lines = Iterator[str]

_LONGEST_FIELD = 63  # characters of a name that C99 guarantees to tell apart
# Words of C and C++, and macros of their usual headers and compilers that stand for a value.
_WORDS = """
    alignas alignof and and_eq asm atomic auto bitand bitor bool break case catch char char16_t
    char32_t char8_t class co_await co_return co_yield compl concept const const_cast consteval
    constexpr constinit continue decltype default delete do double dynamic_cast else enum explicit
    export extern false float for friend goto if inline int long mutable namespace new noexcept not
    not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires
    restrict return short signed sizeof static static_assert static_cast struct switch template this
    thread_local throw true try typedef typeid typename typeof typeof_unqual union unsigned using
    virtual void volatile wchar_t while xor xor_eq complex imaginary I near far huge pascal cdecl
    interface NAN INFINITY HUGE NULL EOF BUFSIZ EDOM ERANGE EILSEQ errno math_errhandling SNAN SNANF
    SNANL DOMAIN SING OVERFLOW UNDERFLOW PLOSS TLOSS X_TLOSS MAXFLOAT unix linux i386 arm mips sun
    stdin stdout stderr DECIMAL_DIG
"""
_TAKEN = frozenset(_WORDS.split())
_MACROS = re.compile(
    r"(FP|MATH|HUGE|FLT|DBL|LDBL|FASTMLP|SEEK|EXIT)_\w+|(RAND|TMP|FILENAME|FOPEN|MB_CUR)_MAX"
    r"|M_(E|PI\w*|[12]_\w*PI|LOG\w+|LN\w+|SQRT\w+)|L_(tmpnam|ctermid)|P_tmpdir|FD_SETSIZE|NFDBITS"
    r"|(BYTE|BIG|LITTLE|PDP)_(ORDER|ENDIAN)|W(NOHANG|UNTRACED|STOPPED|EXITED|CONTINUED|NOWAIT)"
    r"|U?(CHAR|SCHAR|SHRT|INT|LONG|LLONG|WCHAR|WINT|SIZE|SSIZE|PTRDIFF|SIG)\w*_(MIN|MAX|WIDTH)",
    re.ASCII,
)


def field_names(columns: Sequence[Column]) -> list[str]:
    """Return the name of the field for each column: its own if C can have it."""
    return identifiers([column.name for column in columns], _can_be_field)


def _can_be_field(name: str) -> bool:
    free = name not in _TAKEN and not _MACROS.fullmatch(name)
    return free and len(name) <= _LONGEST_FIELD and NAME.fullmatch(name) is not None


class RowWriter:
    """Writer of the parts of a header that have to do with rows of a table.

    Parameters
    ----------
    inference : Inference
        Description of a model of tables.
    prefix : str
        Prefix of all names.
    """

    def __init__(self, inference: Inference, prefix: str) -> None:
        assert inference.columns is not None
        self._inference = inference
        self._columns = inference.columns
        self._forms = {form_of(column) for column in self._columns}
        self._prefix = prefix
        self._fields = field_names(self._columns)
        self._number = Scalar(inference.dtype).type
        self._literal = Scalar(np.float64).literal

    def struct(self) -> Lines:
        """Yield the type NAME_row."""
        yield ""
        yield "typedef struct {"
        for number, (column, field) in enumerate(zip(self._columns, self._fields, strict=True), 1):
            form = form_of(column)
            kind = "const char *" if form in ("text", "boolean") else "double "
            name = comment_text(column.name)
            yield f"    {kind}{field}; /* {number}: {name}: {MEANINGS[form]} */"
        yield f"}} {self._prefix}_row;"

    # ------------------------------------------------------------ constants

    def constants(self) -> Lines:
        """Yield the categories and the texts for missing values."""
        for number, column in enumerate(self._columns, 1):
            if not isinstance(column, CategoryColumn):
                continue
            name = f"{self._prefix}_column{number}"
            if column.reads == "number":
                yield from _number_categories(name, column)
                continue
            if _tokens(column):
                yield ""
                yield from names_lines(f"{name}_missing", _tokens(column))
            if column.reads == "text":
                yield from _text_categories(name, column)

    # ------------------------------------------------------------ functions

    def functions(self) -> Lines:
        """Yield NAME_encode and the functions that it calls."""
        yield from self._put()
        if self._forms & {"text", "boolean", "category number"}:
            yield from self._lines(_ONE_HOT)
        if self._forms & {"text", "boolean"}:
            yield from self._lines(_BLANK)
        if "text" in self._forms:
            yield from self._lines(_CODE_OF_TEXT)
        if "boolean" in self._forms:
            yield from self._lines(_TRUTH)
        if "category number" in self._forms:
            yield from self._lines(_CODE_OF_NUMBER)
        if "date" in self._forms:
            yield from self._lines(_DATE)
        yield from self._encode()

    def _lines(self, text: str) -> Lines:
        yield from text.replace("NUMBER", self._number).replace("NAME", self._prefix).split("\n")

    def _put(self) -> Lines:
        value = "value"
        if self._inference.input_mean is not None:
            mean, deviation = f"{self._prefix}_input_mean", f"{self._prefix}_input_deviation"
            value = f"((value - {mean}[i]) / {deviation}[i])"
        if self._inference.input_quantiles is not None:
            value = f"{self._prefix}_normal(i, {value})"
        yield ""
        yield f"static inline void {self._prefix}_put({self._number} *x, int i, double value)"
        yield "{"
        yield f"    x[i] = ({self._number}){value};"
        yield "}"

    def _encode(self) -> Lines:
        prefix = self._prefix
        yield ""
        yield f"static inline int {prefix}_encode(const {prefix}_row *row, {self._number} *x)"
        yield "{"
        first = 0
        for number, (column, field) in enumerate(zip(self._columns, self._fields, strict=True), 1):
            yield from self._encode_column(number, column, f"row->{field}", first)
            first += len(column.feature_names)
        yield "    return 0;"
        yield "}"

    def _encode_column(self, number: int, column: Column, cell: str, first: int) -> Lines:
        if isinstance(column, CategoryColumn):
            yield from self._encode_category(number, column, cell, first)
            return
        replacement = missing_inputs(column)
        yield f"    if ({cell} != {cell}) {{"
        if replacement is None:
            yield f"        return {number};"
        else:
            for i, value in enumerate(replacement.tolist()):
                yield f"        {self._prefix}_put(x, {first + i}, {self._literal(value)});"
        yield "    } else {"
        yield from self._encode_present(number, column, cell, first)
        yield "    }"

    def _encode_present(self, number: int, column: Column, cell: str, first: int) -> Lines:
        assert isinstance(column, (NumberColumn, DateColumn))
        values = [cell]
        if isinstance(column, DateColumn):
            yield f"        double parts[{len(DATE_PARTS)}];"
            yield f"        if (!(fabs({cell}) <= {self._literal(LATEST)})) return {number};"
            yield f"        {self._prefix}_date_parts({cell}, parts);"
            values = [f"parts[{DATE_PARTS.index(part)}]" for part in column.parts]
        else:
            yield f"        if ({cell} - {cell} != 0.0) return {number}; /* infinite */"
        values += ["0.0"] * column.indicator
        for i, value in enumerate(values):
            yield f"        {self._prefix}_put(x, {first + i}, {value});"

    def _encode_category(self, number: int, column: CategoryColumn, cell: str, first: int) -> Lines:
        prefix, name = self._prefix, f"{self._prefix}_column{number}"
        count = len(_tokens(column))
        if column.reads == "number":
            missing, numbers = f"{cell} != {cell}", _known_numbers(column)
            code = f"{prefix}_code_of_number({cell}, {name}_numbers, {name}_codes, {len(numbers)})"
            known = bool(numbers)
        else:
            tokens = f"{name}_missing" if count else "NULL"
            missing = f"{prefix}_is_missing({cell}, {tokens}, {count})"
            size = len(_known_texts(column))
            code = f"{prefix}_code_of_text({cell}, {name}_names, {name}_codes, {size})"
            known = size > 0
            if column.reads == "boolean":
                code, known = f"{prefix}_truth({cell})", True
        replacement = missing_inputs(column)
        yield "    {"
        yield f"        const int missing = {missing};"
        if replacement is None:
            yield f"        if (missing) return {number};"
        at = -1
        if replacement is not None and column.as_code:
            at = int(replacement[0])
        elif replacement is not None and replacement.any():
            at = int(np.argmax(replacement))
        yield f"        const int code = missing ? {at} : {code if known else -1};"
        if self._inference.refuses_unknown:
            yield f"        if (!missing && code < 0) return {number};"
        if column.as_code:
            yield f"        {prefix}_put(x, {first}, code);"
        else:
            yield f"        {prefix}_one_hot(x, {first}, {len(column.feature_names)}, code);"
        yield "    }"


def _tokens(column: CategoryColumn) -> list[str]:
    return _expressible(missing_tokens(column)) if column.reads != "number" else []


def _expressible(texts: Sequence[str]) -> list[str]:
    """Return the texts that a string of C can hold."""
    return [text for text in texts if "\0" not in text]


def _known_texts(column: CategoryColumn) -> list[str]:
    """Return the texts of the categories in the order of strcmp."""
    return sorted(_expressible(list(column.texts)), key=str.encode)


def _known_numbers(column: CategoryColumn) -> list[tuple[float, int]]:
    """Return ascending numbers of categories, and their codes."""
    numbers = category_numbers(column).tolist()
    return sorted((number, code) for code, number in enumerate(numbers) if number == number)


def _text_categories(name: str, column: CategoryColumn) -> Lines:
    texts = _known_texts(column)
    if texts:
        codes = column.texts
        yield ""
        yield from names_lines(f"{name}_names", texts)
        yield from array_lines(f"{name}_codes", np.array([codes[text] for text in texts], np.intc))


def _number_categories(name: str, column: CategoryColumn) -> Lines:
    numbers = _known_numbers(column)
    if numbers:
        yield ""
        yield from array_lines(f"{name}_numbers", np.array([number for number, _ in numbers]))
        yield from array_lines(f"{name}_codes", np.array([code for _, code in numbers], np.intc))


# ---------------------------------------------------------------- functions in C

_ONE_HOT = """
static inline void NAME_one_hot(NUMBER *x, int first, int count, int code)
{
    for (int i = 0; i < count; ++i) NAME_put(x, first + i, i == code ? 1.0 : 0.0);
}"""

_WIDE_BLANKS = [
    string_literal(chr(code))
    for low, high in WHITE_SPACE
    for code in range(low, high + 1)
    if code >= 0x80
]
_BLANK = f"""
/* Length in bytes of the white space, as Unicode knows it, at the beginning of a text; 0: none. */
static inline int NAME_blank(const char *text)
{{
    static const char *const others[{len(_WIDE_BLANKS)}] = {{
        {", ".join(_WIDE_BLANKS[:9])},
        {", ".join(_WIDE_BLANKS[9:])}
    }};
    if (*text == ' ' || (*text >= '\\t' && *text <= '\\r')) return 1;
    if ((unsigned char)*text < 0x80) return 0;
    for (int i = 0; i < {len(_WIDE_BLANKS)}; ++i) {{
        const size_t length = strlen(others[i]);
        if (strncmp(text, others[i], length) == 0) return (int)length;
    }}
    return 0;
}}

/* The text without white space around it: its beginning and its end. */
static inline const char *NAME_trimmed(const char *text, const char **end)
{{
    int length;
    while ((length = NAME_blank(text)) > 0) text += length;
    *end = text;
    for (const char *at = text; *at != '\\0';) {{
        length = NAME_blank(at);
        at += length > 0 ? length : 1;
        if (length == 0) *end = at;
    }}
    return text;
}}

static inline int NAME_is_missing(const char *text, const char *const *tokens, int count)
{{
    const char *end;
    if (text == NULL) return 1;
    text = NAME_trimmed(text, &end);
    if (text == end) return 1;
    for (int i = 0; i < count; ++i) {{
        const size_t length = strlen(tokens[i]);
        if (length == (size_t)(end - text) && strncmp(text, tokens[i], length) == 0) return 1;
    }}
    return 0;
}}"""

_CODE_OF_TEXT = """
static inline int NAME_code_of_text(const char *text, const char *const *names, const int *codes,
                                    int count)
{
    while (count > 0) {
        const int half = count / 2;
        const int order = strcmp(text, names[half]);
        if (order == 0) return codes[half];
        if (order > 0) {
            names += half + 1;
            codes += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return -1;
}"""


def _words(words: Sequence[str]) -> str:
    return ", ".join(map(string_literal, words))


# The words of truth come first; of all words none has a capital.
_TRUTH = f"""
static inline int NAME_truth(const char *text)
{{
    static const char *const words[{len(TRUE_WORDS) + len(FALSE_WORDS)}] = {{
        {_words(TRUE_WORDS)},
        {_words(FALSE_WORDS)}
    }};
    const char *end;
    text = NAME_trimmed(text, &end);
    for (int i = 0; i < {len(TRUE_WORDS) + len(FALSE_WORDS)}; ++i) {{
        const char *at = text;
        const char *letter = words[i];
        while (at < end && *letter != '\\0') {{
            const int lower = *at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at;
            if (lower != *letter) break;
            ++at;
            ++letter;
        }}
        if (at == end && *letter == '\\0') return i < {len(TRUE_WORDS)};
    }}
    return -1;
}}"""

_CODE_OF_NUMBER = """
static inline int NAME_code_of_number(double value, const double *numbers, const int *codes,
                                      int count)
{
    while (count > 0) {
        const int half = count / 2;
        if (value == numbers[half]) return codes[half];
        if (value > numbers[half]) {
            numbers += half + 1;
            codes += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return -1;
}"""

assert DATE_PARTS == ("days", "month", "day", "weekday", "hour")
_DATE = """
/* Days since 1970-01-01, month, day, weekday from Monday = 0, hour; all of UTC. */
static inline void NAME_date_parts(double seconds, double *parts)
{
    const double whole = floor(seconds / 86400.0);
    const long long days = (long long)whole;
    const long long rest = (days + 719468) % 146097;
    const long long of_era = rest < 0 ? rest + 146097 : rest;
    const long long year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const long long of_year = of_era - (365 * year + year / 4 - year / 100);
    const long long month = (5 * of_year + 2) / 153; /* from March = 0 */
    const long long weekday = (days + 3) % 7;
    parts[0] = seconds / 86400.0;
    parts[1] = (double)(month < 10 ? month + 3 : month - 9);
    parts[2] = (double)(of_year - (153 * month + 2) / 5 + 1);
    parts[3] = (double)(weekday < 0 ? weekday + 7 : weekday);
    parts[4] = (seconds - whole * 86400.0) / 3600.0;
}"""
