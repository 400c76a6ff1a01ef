"""Model cards are read as Markdown, and nothing in them can act."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqdemo.ui.card import card_view

HARMLESS = {
    "div", "p", "h3", "h4", "h5", "h6", "ul", "ol", "li", "em", "strong", "code", "pre", "blockquote", "table", "thead",
    "tbody", "tr", "th", "td", "a", "span", "br", "hr",
}  # fmt: skip


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(card_view(text))
    reader.close()
    return reader


def harmless(reader: Reader) -> bool:
    links = [attributes for tag, attributes in reader.found if tag == "a"]
    rest = [set(attributes) for tag, attributes in reader.found if tag != "a"]
    return (
        {tag for tag, _ in reader.found} <= HARMLESS
        and all(names <= {"class", "start"} for names in rest)
        and all(str(link["href"]).lower().startswith(("http://", "https://", "mailto:")) for link in links)
        and all(set(link) == {"href", "rel", "target"} for link in links)
    )


def test_a_card_is_laid_out() -> None:
    """Headings, tables, lists, code and links are elements; the front matter and the title are left out."""
    reader = read(
        "---\nlicense: mit\n---\n# name\n\n## Data\n\n| a | b |\n| --- | ---: |\n| 1 | *2* |\n\n- one\n- `two`\n\n"
        "```sh\n<train> & go\n```\n[here](https://example.org/?a=1&b=2)\n"
    )
    tags = [tag for tag, _ in reader.found]
    for tag in ("h4", "table", "th", "td", "em", "ul", "li", "code", "pre", "a"):
        assert tag in tags, tag
    assert "h3" not in tags
    assert "license" not in reader.text
    assert "<train> & go" in reader.text
    assert (
        "a",
        {"href": "https://example.org/?a=1&b=2", "rel": "noopener noreferrer nofollow", "target": "_blank"},
    ) in (reader.found)
    assert harmless(reader)


@pytest.mark.parametrize(
    "nasty",
    [
        "<script>alert(1)</script>",
        '<img src=x onerror="alert(1)">',
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1) 'title')",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](vbscript:x) <javascript:alert(1)>",
        "![picture](https://tracker.example/1.png)",
        '[x](https://e.org/"onmouseover="alert(1))',
        "<a href='https://e.org' onclick='x()'>y</a>",
        "&lt;script&gt;alert(1)&lt;/script&gt; &#60;b&#62;",
        "<style>*{display:none}</style>\n\n<iframe src=//e.org></iframe>",
        "`<b>` **<b>** | <b> |",
    ],
)
def test_nothing_in_a_card_acts(nasty: str) -> None:
    """Markup, script addresses, pictures of other servers and attributes in a card come out as text."""
    for text in (nasty, f"# a\n\n{nasty}", f"- {nasty}", f"| h |\n| --- |\n| {nasty} |", f"## {nasty}", f"> {nasty}"):
        assert harmless(read(text)), text


@given(st.text(st.sampled_from("<>&\"'`*_[]()!|-#=:/\\\n ajscript"), max_size=80))
def test_whatever_a_card_holds(text: str) -> None:
    """No text makes an element that is not expected."""
    assert harmless(read(text))


def test_what_comes_out_of_a_shipped_card() -> None:
    """The cards of shipped checkpoints keep their figures and commands."""
    folder = Path(__file__).parents[2] / "seqdemo" / "pretrained" / "shakespeare"
    reader = read((folder / "README.md").read_text("utf-8"))
    metrics = json.loads((folder / "seqdemo.json").read_text("utf-8"))["metrics"]
    assert f"{metrics['perplexity']:.5f}" in reader.text
    assert "seqdemo train --preset shakespeare" in reader.text
    assert harmless(reader)
