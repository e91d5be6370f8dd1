"""An HTML page or an SVG drawing, parsed for the tests."""

from collections.abc import Iterator
from html.parser import HTMLParser

_VOID = frozenset({"meta", "br", "link", "img", "hr", "input"})


class Page(HTMLParser):
    """Tags with their attributes, and texts with the tags around them; every tag must be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self._open: list[str] = []
        self.feed(page)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((tuple(self._open), " ".join(data.split())))

    @property
    def visible(self) -> str:
        """All text that a reader sees without pointing at it."""
        return " ".join(text for inside, text in self.texts if not {"style", "script", "title"} & set(inside))

    def text(self, tag: str) -> list[str]:
        """Return the texts inside a tag."""
        return [text for inside, text in self.texts if tag in inside]

    def attributes(self, name: str) -> Iterator[str]:
        """Return the values of an attribute, in the order of the page."""
        return (attributes[name] for _, attributes in self.tags if name in attributes)
