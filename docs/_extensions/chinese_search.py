"""The search of the Chinese pages: every two neighboring characters are a term.

Chinese has no spaces between words. Pairs need no dictionary, and the browser splits a query in the
same way. Other scripts are split and stemmed as in English.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

_RUNS = re.compile(r"[\u3400-\u9fff]+|[^\W\u3400-\u9fff]+")


class ChineseSearch(SearchEnglish):
    """Pairs of characters, and English words."""

    lang = "zh"
    js_splitter_code = r"""
var splitQuery = (query) =>
  (query.match(/[\u3400-\u9fff]+|(?:(?![\u3400-\u9fff])[\p{Letter}\p{Number}_])+/gu) ?? [])
    .flatMap((run) => /[\u3400-\u9fff]/.test(run) && run.length > 1
      ? Array.from({ length: run.length - 1 }, (_, i) => run.slice(i, i + 2))
      : [run]);
"""

    def split(self, input: str) -> list[str]:
        """Split a text as the script splits a query."""
        terms: list[str] = []
        for run in _RUNS.findall(input):
            is_chinese = "\u3400" <= run[0] <= "\u9fff" and len(run) > 1
            terms += [run[i : i + 2] for i in range(len(run) - 1)] if is_chinese else [run]
        return terms


def setup(app: Sphinx) -> dict[str, bool]:
    """Take the place of Sphinx's search, whose script names a stemmer that it lacks."""
    app.add_search_language(ChineseSearch)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
