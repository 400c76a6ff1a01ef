"""Whatever a plugin does wrong stays with that plugin, and is said."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqdemo.manager import Manager
from seqdemo.plugin import CONTRACT

Helper = Callable[..., Any]


@pytest.mark.parametrize(
    "statement",
    [
        "raise ValueError('boom')",
        "raise SystemExit(3)",
        "import sys; sys.exit()",
        "raise BaseException",
        "1 +",
        "\0",
    ],
)
def test_import_that_fails(
    folder: Path, write: Helper, statement: str, good: Helper, plugin: Helper, messages: Helper
) -> None:
    """Whatever a module does while it is imported, the others load, and its traceback is kept."""
    path = write("bad.py", statement)
    write("good.py", good("good"))
    found = Manager([folder])
    info = plugin(found, "bad")
    assert info.health == "failed"
    assert "Cannot import 'bad'" in messages(info, "import")
    assert "Traceback" in info.problems[0].traceback
    assert path.name in info.problems[0].traceback or statement == "\0"
    assert "good" in found.records("models")
    assert "lstm" in found.records("models")


def test_failed_import_leaves_nothing_behind(folder: Path, write: Helper) -> None:
    """Neither a plugin that failed nor the modules it had imported of its own stay in sys.modules."""
    write("half/__init__.py", "from . import inner\nraise ValueError")
    write("half/inner.py", "")
    before = set(sys.modules)
    Manager([folder])
    assert not [name for name in set(sys.modules) - before if "half" in name]


def test_ctrl_c_is_the_users(folder: Path, write: Helper) -> None:
    """KeyboardInterrupt is not swallowed."""
    write("bad.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Manager([folder])


def test_printing_goes_to_stderr(folder: Path, write: Helper, capsys: pytest.CaptureFixture[str]) -> None:
    """What a plugin prints cannot spoil what a command prints."""
    write("loud.py", "print('hello from a plugin')")
    Manager([folder])
    out, err = capsys.readouterr()
    assert out == ""
    assert "hello from a plugin" in err


def test_hook_that_raises(folder: Path, write: Helper, good: Helper, plugin: Helper, messages: Helper) -> None:
    """A hook that raises takes neither the plugin's other hooks nor other plugins down."""
    write(
        "bad.py",
        good("survivor", "bad") + "\n    @hookimpl\n    def seqdemo_tasks():\n        raise SystemExit(1)\n",
    )
    write("good.py", good("good"))
    found = Manager([folder])
    assert "seqdemo_tasks raised: SystemExit: 1" in messages(plugin(found, "bad"), "hook")
    assert {"survivor", "good"} <= set(found.records("models"))


def test_generator_that_raises_midway(folder: Path, write: Helper, plugin: Helper, messages: Helper) -> None:
    """Records given before the mistake are kept."""
    source = """
        from seqdemo.plugin import ModelRecord, hookimpl

        @hookimpl
        def seqdemo_models():
            yield ModelRecord("first", "x:Y", "x:Z")
            raise RuntimeError("midway")
    """
    write("bad.py", source)
    info = plugin(Manager([folder]), "bad")
    assert info.records["models"] == ("first",)
    assert "midway" in messages(info, "hook")


def test_endless_generator(folder: Path, write: Helper, plugin: Helper, messages: Helper) -> None:
    """A hook that never stops giving records is stopped."""
    source = """
        from itertools import count
        from seqdemo.plugin import ModelRecord, hookimpl

        @hookimpl
        def seqdemo_models():
            return (ModelRecord(f"m{n}", "x:Y", "x:Z") for n in count())
    """
    write("bad.py", source)
    assert "more than 1000 records" in messages(plugin(Manager([folder]), "bad"), "records")


@pytest.mark.parametrize(
    ("hook", "marked", "nearest"),
    [
        ("seqdemo_model", True, "'seqdemo_models'"),
        ("seqdemo_tokenisers", False, "'seqdemo_tokenizers'"),
        ("something_else", True, "'seqdemo_"),
    ],
)
def test_misspelt_hook(
    folder: Path, write: Helper, hook: str, marked: bool, nearest: str, good: Helper, plugin: Helper, messages: Helper
) -> None:
    """A hook that does not exist is reported with the nearest one that does, marked or not."""
    write(
        "bad.py",
        good("kept", "bad") + f"\n    {'@hookimpl' if marked else ''}\n    def {hook}():\n        return []\n",
    )
    info = plugin(Manager([folder]), "bad")
    assert f"There is no hook {hook!r}. Did you mean {nearest}" in messages(info, "hook")
    assert info.records["models"] == ("kept",)


def test_unmarked_hook(folder: Path, write: Helper, plugin: Helper, messages: Helper) -> None:
    """A hook without @hookimpl is reported, not called."""
    write("bad.py", "def seqdemo_models():\n    raise ValueError\n")
    assert "put @hookimpl above it" in messages(plugin(Manager([folder]), "bad"), "hook")


def test_hook_with_wrong_arguments(folder: Path, write: Helper, plugin: Helper, messages: Helper) -> None:
    """A hook that wants arguments it does not get is refused, naming it."""
    write("bad.py", "from seqdemo.plugin import hookimpl\n@hookimpl\ndef seqdemo_models(config):\n    return []\n")
    text = messages(plugin(Manager([folder]), "bad"), "hook")
    assert "PluginValidationError" in text
    assert "config" in text


def test_wrapper(folder: Path, write: Helper, plugin: Helper, messages: Helper) -> None:
    """A hook wrapper is refused: it would touch other plugins' records."""
    write(
        "bad.py",
        "from seqdemo.plugin import hookimpl\n@hookimpl(wrapper=True)\ndef seqdemo_models():\n    return (yield)\n",
    )
    found = Manager([folder])
    assert "wrapper" in messages(plugin(found, "bad"), "hook")
    assert "lstm" in found.records("models")


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None", "returned nothing, expected a list of ModelRecord"),
        ("42", "returned a int"),
        ("'lstm'", "returned a str"),
        ("{'a': 1}", "returned a dict"),
        ("ModelRecord('x', 'x:Y', 'x:Z')", "returned a ModelRecord, expected a list"),
        ("['lstm']", "gave 'lstm', expected a ModelRecord"),
        ("[None]", "gave None"),
        ("[ModelRecord]", "expected a ModelRecord"),
        ("[TaskRecord('x', 'x:Y', 'x:Z')]", "gave TaskRecord("),
        ("[ModelRecord('Bad Name', 'x:Y', 'x:Z')]", "gave the name 'Bad Name'"),
        ("[ModelRecord('a:b', 'x:Y', 'x:Z')]", "gave the name 'a:b'"),
        ("[ModelRecord('', 'x:Y', 'x:Z')]", "gave the name ''"),
        ("[ModelRecord(None, 'x:Y', 'x:Z')]", "gave the name None"),
        ("[ModelRecord('x' * 65, 'x:Y', 'x:Z')]", "at most 64"),
        ("[ModelRecord('x', 'x.Y', 'x:Z')]", "the implementation 'x.Y'"),
        ("[ModelRecord('x', 'x:Y', 'import os')]", "the config 'import os'"),
        ("[ModelRecord('x', int, 'x:Z')]", "the implementation <class 'int'>"),
        ("[ModelRecord('x', 'x:Y', 'x:Z', 7)]", "a summary that is not text"),
        ("[ModelRecord('x', 'x:Y', 'x:Z')] * 2", "gave the name 'x' twice"),
    ],
)
def test_rubbish(folder: Path, write: Helper, returned: str, said: str, plugin: Helper, messages: Helper) -> None:
    """What is not a record is refused in words, and a good record beside it is kept."""
    source = f"""
        from seqdemo.plugin import ModelRecord, TaskRecord, TokenizerRecord, hookimpl

        @hookimpl
        def seqdemo_models():
            return {returned}

        @hookimpl
        def seqdemo_tokenizers():
            return [TokenizerRecord("kept", "x:Y", "x:Z")]
    """
    write("bad.py", source)
    info = plugin(Manager([folder]), "bad")
    assert said in messages(info, "records")
    assert info.health == "failed"
    assert info.records["tokenizers"] == ("kept",)


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ("'1.99'", "needs contract 1.99, this seqdemo offers {0}.{1}; upgrade seqdemo"),
        ("'2.0'", "upgrade seqdemo"),
        ("'0.9'", "upgrade the plugin"),
        ("'one'", "is not a version"),
        ("1.0", "is not a version"),
        ("(1, 0)", "is not a version"),
    ],
)
def test_contract(
    folder: Path, write: Helper, stated: str, said: str, good: Helper, plugin: Helper, messages: Helper
) -> None:
    """A plugin for another contract is refused before its hooks are called."""
    write("new.py", f"seqdemo_contract = {stated}\n" + textwrap.dedent(good("new")))
    found = Manager([folder])
    assert said.format(*CONTRACT) in messages(plugin(found, "new"), "contract")
    assert "new" not in found.records("models")


def test_stated_contract_that_fits(folder: Path, write: Helper, good: Helper, plugin: Helper) -> None:
    """The present contract is accepted."""
    write("now.py", "seqdemo_contract = '1.0'\n" + textwrap.dedent(good("now")))
    assert plugin(Manager([folder]), "now").health == "ok"
