"""Cleaning that prepare_stories.py applies to books and stories: characters, markdown, line ends, quotes."""

from __future__ import annotations

import re

__all__ = ["NOTE", "blocks", "is_unfit", "one_style", "plain", "rejoined", "unmarked", "unwrapped"]

# Characters

MOJIBAKE = {
    "\u00e2\u20ac\u0153": '"', "\u00e2\u20ac\u009d": '"', "\u00e2\u20ac\u2122": "'", "\u00e2\u20ac\u02dc": "'",
    "\u00e2\u20ac\u00a6": "...", "\u00e2\u20ac\u201c": "--", "\u00e2\u20ac\u201d": "--", "\u00e2\u20ac\u0160": "",
    "\u00e2\u20ac": '"', "\u00c3\u00a9": "é", "\u00c3\u00a6": "æ",
}  # fmt: skip
PLAIN = str.maketrans(
    {"“": '"', "”": '"', "‘": "'", "’": "'", "`": "'", "—": "--", "–": "--", "…": "...", "\u00a0": " ",
     "\u200b": None, "\u2060": None, "\ufeff": None, "\\": None}
)  # fmt: skip


def plain(text: str) -> str:
    """Straight quotes, ``--`` for dashes, ``\\n`` line ends, single spaces; double-encoded characters mended."""
    for wrong, right in MOJIBAKE.items():
        text = text.replace(wrong, right)
    text = text.replace("&amp;", "&").translate(PLAIN).replace("\r\n", "\n")
    text = re.sub(r"-{3,}", "--", text)
    text = re.sub(r" *-- *", "--", text)
    text = re.sub(r" ?\.( \.)+", "...", text)
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r"(\w) n't\b", r"\1n't", text)
    text = re.sub(
        r"\b(I|[Hh]e|[Ss]he|[Ii]t|[Yy]ou|[Ww]e|[Tt]hey|[Tt]hat|[Tt]here) ('(?:ll|ve|re|d|m|s))\b", r"\1\2", text
    )
    return re.sub(r" +([,;!?])", r"\1", text)


# Paragraphs

NOTE = re.compile(
    r"(?i)^[_*]*(translat\w+ by .*|published \d{4}.*|the end\.?|finis\.?|note:--.*|illustrated by .*)[_*]*$"
)


def blocks(text: str) -> list[str]:
    """The paragraphs of markdown text, as they stand; a heading is a block of its own."""
    text = re.sub(r"(?m)^(#+ .*)$", r"\n\1\n", text)
    return [block.strip() for block in re.split(r"\n[ \t]*\n", text) if block.strip()]


def unmarked(block: str) -> str:
    """A paragraph without markdown marks, rules and editors' glosses in brackets."""
    block = re.sub(r"(?m)^> ?", "", block)
    block = re.sub(r"\s?[\[{][^\]}]*[\]}]", "", block)
    lines = (re.sub(r"[*_]+", "", line).strip() for line in block.split("\n"))
    return "\n".join(line for line in lines if line and not re.fullmatch(r"[-=.~ ]+", line))


def is_verse(block: str) -> bool:
    """Whether every line of a hard-wrapped block begins like a line of verse."""
    return all(re.match(r"[\"'(-]*[A-Z]", line) for line in block.split("\n"))


def unwrapped(paragraphs: list[str]) -> list[str]:
    """Hard-wrapped prose as one line a paragraph (``stick-\\nhouse`` becomes ``stick-house``)."""
    return [
        block if is_verse(block) else re.sub(r"\s*\n\s*", " ", re.sub(r"(?<=\w)-\n", "-", block))
        for block in paragraphs
    ]


def rejoined(paragraphs: list[str]) -> list[str]:
    """Sentences that a picture or a page had cut in two, whole again."""
    out: list[str] = []
    for block in paragraphs:
        if out and "\n" not in out[-1] and re.search(r"[\w,]$", out[-1]) and re.match(r"[a-z]", block):
            out[-1] = f"{out[-1]} {block}"
        else:
            out.append(block)
    return out


ELISION = re.compile(
    r"(?:tis|twas|twere|twill|twould|tain|em|un|cause|bout|ere|ave|e|im|is|er|way|gainst|mid|neath|cos|nuff)\b", re.I
)


def double_quoted(text: str, following: str) -> str | None:
    """A paragraph with 'speech' turned into "speech", or None where its quotes do not pair up.

    Args:
        text: one paragraph.
        following: the paragraph after it; it tells whether speech that is still open goes on.
    """
    marks: list[int] = []
    is_open = False
    for match in re.finditer("'", text):
        at = match.start()
        before, after = text[at - 1 : at], text[at + 1 : at + 2]
        starts = (not before or before in ' \n("-') and bool(after) and after not in " \n"
        ends = before in '.,!?;:-)"' and (not after or after in ' \n)-".,;:!?')
        if is_open and ends and before:
            marks.append(at)
            is_open = False
        elif starts and is_open and not ELISION.match(text, at + 1):
            return None
        elif starts and not is_open:
            marks.append(at)
            is_open = True
    if is_open and not following.startswith("'"):
        return None
    quoted = list(text.replace('"', "'"))
    for at in marks:
        quoted[at] = '"'
    return "".join(quoted)


def one_style(paragraphs: list[str]) -> list[str]:
    """Speech in double quotes, where the book has it in single ones."""
    whole = "\n".join(paragraphs)
    if len(re.findall(r"(?m)(?:^|[ (-])'\w", whole)) < 2 * whole.count('"'):
        return paragraphs
    pairs = zip(paragraphs, [*paragraphs, ""][1:], strict=True)
    return [double_quoted(text, following) or text for text, following in pairs]


# Words

# Words of contempt for a people, words these books use mostly to caricature one, and swearing.
UNFIT = re.compile(
    r"\b(?i:nigg(?:er|ah)\w*|negro\w*|negress\w*|dark(?:ey|ie|y)s?|pickaninn\w*|piccaninn\w*|sambo|blackamoors?"
    r"|mulatto\w*|squaws?|injuns?|red-?skins?|half-?breeds?|chinam[ae]n|chinee\w*|japs?|dago\w*|hottentots?|kaffirs?"
    r"|lascars?|gips(?:y|ies)|gyps(?:y|ies)|jew(?:s|ess|ish)?|black (?:man|men|boys?|fellows?)|savages|heathen\w*"
    r"|sluts?|bastards?|whores?|bitch\w*|damn(?:ed|ation)?|fags?)\b|\bHuns?\b|\bBoches?\b"
)


def is_unfit(paragraph: str) -> bool:
    """Whether a paragraph has a word this text should not teach."""
    return UNFIT.search(paragraph) is not None
