"""The texts of the page: both languages say everything, nothing is said outside the table, the right one is chosen."""

from __future__ import annotations

import ast
import errno
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import seqdemo.ui
from seqdemo import errors
from seqdemo.manager import manager
from seqdemo.plugin import TaskConfig
from seqdemo.ui.words import CHINESE, ENGLISH, TABLE, PageError, Words, option, preferred, spoken

UI = Path(seqdemo.ui.__file__).parent
PYTHON = sorted(UI.glob("*.py"))
SCRIPTS = sorted(UI.glob("assets/*.js"))
KEY = re.compile(r"\b([a-z]+\.[a-z_]+(?:\.[a-z_]+)*)\b")
NAME = re.compile(r"\{(\w*)\}")
WORD = re.compile(r"[A-Za-z]{2}")
HAN = re.compile(r"[\u4e00-\u9fff]")
SAME = {"option.top_k", "option.top_p", "option.min_p", "page.other"}
BRAND = {"seqdemo"}
FILES = (".css", ".js", ".json", ".key", ".safetensors", ".svg")
ERRORS = set(errors.__all__)
OF_THE_SHELL = {"app.py", "visitors.py"}
"""What these raise is printed by the command that serves the page."""


def wrong(key: str, english: str, chinese: str) -> Iterator[str]:
    """What is wrong with an entry of the table."""
    one, _, many = english.partition("|")
    for text in (one, many or one, chinese):
        if not text or text != text.strip() or "<" in text:
            yield f"{text!r} is not a text"
        if set(NAME.findall(text)) != set(NAME.findall(many or one)) or text.count("{") != len(NAME.findall(text)):
            yield f"{text!r} is filled in with other names"
    if "|" in chinese:
        yield "Chinese has no plural"
    if key not in SAME and HAN.search(english):
        yield "the English is Chinese"
    if key not in SAME and WORD.search(NAME.sub("", chinese)) and not HAN.search(chinese):
        yield "the Chinese is not"
    if re.search(r"[\u4e00-\u9fff][,;:?!]|[\u4e00-\u9fff]\.(?!\w)", chinese):
        yield f"{chinese!r} has punctuation of English"
    if re.search(r"[\u4e00-\u9fff][A-Za-z0-9{]|[A-Za-z0-9}][\u4e00-\u9fff]", chinese):
        yield f"{chinese!r} needs a space between the scripts"


def test_both_languages_say_everything() -> None:
    """Each text stands in both languages, with the same names to fill in, and set as its language is."""
    assert [f"{key}: {one}" for key, pair in TABLE.items() for one in wrong(key, *pair)] == []


def sources() -> Iterator[tuple[Path, str]]:
    for path in (*PYTHON, *SCRIPTS):
        yield path, path.read_text("utf-8")


def test_no_text_is_left_over_and_none_is_missing() -> None:
    """Every key of the table is written somewhere in the page's source, and every one written there is in the table."""
    areas = {key.partition(".")[0] for key in TABLE}
    written = {
        found
        for _, text in sources()
        for quoted in re.findall(r"[\"'`]([a-z]+\.[a-z_.]+)[\"'`]", text)
        for found in KEY.findall(quoted)
        if found in TABLE or (found.partition(".")[0] in areas and not found.endswith(FILES))
    }
    assert sorted(written - set(TABLE)) == []
    assert sorted(set(TABLE) - written - {key for key in option.WORDS if TABLE[key][0] in described_texts()}) == []


def described_texts() -> set[str]:
    """Names and descriptions of every built-in option, as the page shows them."""
    found = set()
    kinds = manager()
    for task in ("generation", "sentiment", "translation"):
        config = kinds.config_class("tasks", task)
        assert issubclass(config, TaskConfig)
        for name, field in config.options.model_fields.items():
            lines = " One to a line; \\n is a new line." if "tuple" in str(field.annotation) else ""
            found |= {name.replace("_", " ").capitalize(), f"{field.description or ''}{lines}"}
    return found


def test_every_built_in_option_is_named_and_described() -> None:
    """The schemas are the English column: an option that changes there without its Chinese is caught here."""
    assert sorted(described_texts() - {english for english, _ in option.WORDS.values()}) == []


def said_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Texts written into calls that put them on the page."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        at = {"element": 1, "join": 0, "notice": 0, "Button": 0, "Tab": 0, "Accordion": 0, "Markdown": 0, "Info": 0}
        shown = [*call.args[at[name] :]] if name in at else []
        if name in {"notice", "Button", "Tab", "Accordion"}:
            shown = shown[:1]
        if name in ERRORS:
            shown = call.args[:1]
        names = {"label", "placeholder", "info", "title", "aria_label", "alt", "submit_btn"}
        shown += [one.value for one in call.keywords if one.arg in names]
        for one in shown:
            for part in one.values if isinstance(one, ast.JoinedStr) else [one]:
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.lineno, part.value


def test_python_puts_no_text_of_its_own_on_the_page() -> None:
    """Labels, headings, notices and problems come from the table; templates hold keys."""
    found = []
    for path in PYTHON:
        tree = ast.parse(path.read_text("utf-8"))
        if path.name not in OF_THE_SHELL:
            found += [f"{path.name}:{line} {text!r}" for line, text in said_in(tree) if loose(text)]
        for one in ast.walk(tree):
            if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value.lstrip().startswith("<"):
                texts = re.findall(r">([^<>{}$]+)<", one.value)
                texts += re.findall(r"\s(?:aria-label|placeholder|title|alt)=\"([^\"$]*)\"", one.value)
                found += [f"{path.name}:{one.lineno} {text!r}" for text in texts if loose(text)]
    assert found == []


def loose(text: str) -> bool:
    """Whether something is a text for readers, and no key."""
    return bool(WORD.search(text)) and not KEY.fullmatch(text) and text not in BRAND


QUOTED = r"[\"'`]([^\"'`]*[A-Za-z]{2}[^\"'`]*)[\"'`]"
SPOKEN = (
    rf"(?:textContent|innerText|title|placeholder|ariaLabel)\s*=\s*{QUOTED}",
    rf"setAttribute\(\"(?:aria-label|aria-roledescription|title|placeholder)\",\s*{QUOTED}",
    rf"make\(\"\w+\",\s*\"[^\"]*\",\s*{QUOTED}",
    r"[\"'`]([A-Z][a-z]+(?: [a-z]+)+[^\"'`]*)[\"'`]",
)


def test_scripts_have_no_text_of_their_own() -> None:
    """What a script writes or names a control with comes from the table."""
    found = []
    for path in SCRIPTS:
        text = re.sub(r"^\s*//.*$|\s//\s.*$", "", path.read_text("utf-8"), flags=re.MULTILINE)
        for pattern in SPOKEN:
            found += [
                f"{path.name} {one!r}" for one in re.findall(pattern, text) if loose(re.sub(r"\$\{[^}]*\}", "", one))
            ]
    assert found == []


def test_texts_are_filled_in() -> None:
    """Braces in what is filled in stay as they are; a number takes the singular in English only."""
    assert ENGLISH("chat.loading", name="{name}") == "Loading {name} …"
    assert [ENGLISH.count("chat.tokens", number) for number in (0, 1, 1200)] == ["0 tokens", "1 token", "1,200 tokens"]
    assert CHINESE.count("chat.tokens", 1) == "1 个词元"
    with pytest.raises(KeyError):
        ENGLISH("chat.loading")


def test_a_problem_of_the_page_is_said_in_either_language() -> None:
    """It reads as English in a log, and in the reader's language on the page; one of the SDK keeps its own line."""
    from seqdemo.errors import StoreError
    from seqdemo.ui.talk import explain

    problem = PageError("chat.read_only", reason="<why>")
    assert str(problem) == "This conversation can only be read here. <why>"
    assert explain(problem, CHINESE) == "这个对话在这里只能阅读。<why>"
    assert explain(StoreError("The disk is full.")) == "The disk is full."
    assert explain(StoreError("The disk is full."), CHINESE).endswith("The disk is full.")
    assert "KeyError" in explain(KeyError("x"), CHINESE)
    assert explain(PageError("chat.read_only", reason=PageError("models.gone", name="me")), CHINESE).startswith(
        "这个对话在这里只能阅读。me 已不在磁盘上。"
    )


def test_the_commonest_problems_are_wholly_chinese(tmp_path: Path) -> None:
    """A full queue, a store that another program writes to and one without room; what is wrong with a file that is to
    be imported is said in Chinese first."""
    from seqdemo.errors import BusyError, SessionError, StoreError
    from seqdemo.store import opened
    from seqdemo.ui.shelf import Shelf
    from seqdemo.ui.talk import explain

    found: list[Exception] = [BusyError("The engine is busy.")]
    database = opened(tmp_path)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        with database.read() as run:
            run.execute("PRAGMA busy_timeout = 1")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another program") as caught, database.write():
            pass
        found.append(caught.value)
    with database.read() as run:
        run.execute(f"PRAGMA max_page_count = {run.execute('PRAGMA page_count').fetchone()[0]}")
    with pytest.raises(StoreError, match="disk is full") as caught, database.write() as run:
        run.execute("CREATE TABLE more AS SELECT zeroblob(1000000)")
    found.append(caught.value)
    for error in found:
        assert not re.search("[A-Za-z]", explain(error, CHINESE)), error
        assert re.search("[A-Za-z]", explain(error))
    with pytest.raises(SessionError, match="This file") as damaged:
        Shelf(lambda: database, lambda name: None).bring("me", b"no conversation", [])
    assert explain(damaged.value, CHINESE).startswith("这个文件不能作为对话导入，请换一份副本。This file")


def test_a_full_disk_is_said_whoever_found_it() -> None:
    """Wherever a file cannot be written, the line is the same calm one."""
    from seqdemo.ui.talk import explain

    error = OSError(errno.ENOSPC, "No space left on device", "/somewhere/inside")
    assert explain(error) == ENGLISH("errors.disk")
    assert explain(error, CHINESE) == CHINESE("errors.disk")
    assert "OSError" in explain(OSError(errno.EIO, "Input/output error"))


@pytest.mark.parametrize(
    ("accepted", "words"),
    [
        ("", ENGLISH),
        ("zh-CN,zh;q=0.9,en;q=0.8", CHINESE),
        ("en-US,en;q=0.9,zh-CN;q=0.8", ENGLISH),
        ("en;q=0.5, zh-Hans-SG;q=0.7", CHINESE),
        ("zh", CHINESE),
        ("ZH-tw", CHINESE),
        ("de-DE,de;q=0.9", ENGLISH),
        ("zha", ENGLISH),
        ("*", ENGLISH),
        ("zh;q=nonsense,en", ENGLISH),
        ("zh;q=nan", ENGLISH),
        (";;,,q=", ENGLISH),
    ],
)
def test_the_language_a_browser_likes_best(accepted: str, words: Words) -> None:
    """By weight, then by order; any kind of Chinese is Chinese, and everything else English."""
    assert preferred(accepted) is words


def test_a_language_by_its_tag() -> None:
    """A cookie may hold anything."""
    assert [spoken(tag) for tag in ("zh-CN", "en", "<b>", "")] == [CHINESE, ENGLISH, ENGLISH, ENGLISH]
