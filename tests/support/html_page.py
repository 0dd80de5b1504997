"""A strict reader of HTML, which requires every element to be closed in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"br", "hr", "img", "input", "link", "meta"}


@dataclass
class Element:
    """An element with its attributes and its content: elements and texts."""

    tag: str
    attributes: dict[str, str]
    content: list[Element | str] = field(default_factory=list)

    def __iter__(self) -> Iterator[Element]:
        """Yield this element and all below it, in the order of the page."""
        yield self
        for item in self.content:
            if isinstance(item, Element):
                yield from item

    def all(self, *tags: str) -> list[Element]:
        return [element for element in self if element.tag in tags]

    def one(self, tag: str) -> Element:
        (found,) = self.all(tag)
        return found

    def with_id(self, name: str) -> Element:
        (found,) = [element for element in self if element.attributes.get("id") == name]
        return found

    def with_class(self, name: str) -> list[Element]:
        return [e for e in self if name in e.attributes.get("class", "").split()]

    @property
    def text(self) -> str:
        parts = (item if isinstance(item, str) else item.text for item in self.content)
        return " ".join("".join(parts).split())

    def rows(self) -> list[list[str]]:
        """Return the texts of the cells of a table, row by row."""
        return [[cell.text for cell in row.all("th", "td")] for row in self.all("tr")]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("document", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute: {names}"
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].content.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        inside_svg = any(element.tag == "svg" for element in self.open)
        assert tag in VOID or inside_svg, f"<{tag}/> does not close itself in HTML"
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].content.append(data)


def read_page(text: str) -> Element:
    """Return the page as an element; raise AssertionError if elements are not closed in order."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].tag}> is never closed"
    return reader.open[0]
