"""What a name means: clashes, look-ups, and records that lead nowhere."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqdemo.errors import PluginError, UnknownNameError
from seqdemo.manager import Manager

Helper = Callable[..., Any]


def test_builtin_keeps_the_bare_name(
    folder: Path, write: Helper, good: Helper, plugin: Helper, messages: Helper
) -> None:
    """Nobody takes a built-in's name; the claimant is reachable by its full name, and both are named."""
    write("thief.py", good("lstm", "thief"))
    found = Manager([folder])
    assert found.get("models", "lstm").distribution == "seqdemo"
    assert found.get("models", "thief:lstm").distribution == "thief"
    assert found.get("models", "seqdemo:lstm") is found.get("models", "lstm")
    info = plugin(found, "thief")
    assert info.health == "warning"
    assert "announced by seqdemo and thief" in messages(info, "name")
    assert found.plugins()[0].health == "ok"
    assert "thief:lstm" in [record.name for record in found.available("models")]


def test_first_distribution_keeps_the_bare_name(
    distribute: Helper, good: Helper, plugin: Helper, messages: Helper
) -> None:
    """Among third parties the first distribution by name has the bare name, and every claimant is told."""
    for name in ("fake-z", "fake-a", "fake-m"):
        distribute(name, good("wave"))
    found = Manager()
    assert found.get("models", "wave").distribution == "fake-a"
    for name in ("fake-a", "fake-m", "fake-z"):
        assert found.get("models", f"{name}:wave").distribution == name
        assert "wave" in messages(plugin(found, name), "name")
    assert "fake-a and fake-z" in messages(plugin(found, "fake-a"), "name")
    names = [record.name for record in found.available("models")]
    assert [name for name in names if "wave" in name] == ["fake-m:wave", "fake-z:wave", "wave"]


def test_two_plugins_of_one_distribution(distribute: Helper, good: Helper, plugin: Helper, messages: Helper) -> None:
    """Within a distribution there is no second full name: the later one is refused."""
    path = distribute("fake-a", good("wave"), entries="one = fake_fake_a\ntwo = fake_other")
    path.with_name("fake_other.py").write_text(textwrap.dedent(good("wave")))
    found = Manager()
    assert found.get("models", "wave").plugin == "one"
    assert "same distribution" in messages(plugin(found, "two"), "name")
    assert plugin(found, "two").records["models"] == ()


def test_one_module_loaded_twice(distribute: Helper, good: Helper, plugin: Helper, messages: Helper) -> None:
    """Two entry points to one module: the second one is reported and registers nothing."""
    distribute("fake-a", good("wave"), entries="one = fake_fake_a\ntwo = fake_fake_a")
    found = Manager()
    assert plugin(found, "one").health == "ok"
    assert "loaded already" in messages(plugin(found, "two"), "hook")


def test_same_name_of_different_kinds(folder: Path, write: Helper, good: Helper, plugin: Helper) -> None:
    """A model and a tokenizer may share a name."""
    write("words.py", good("bytes", "words"))
    assert plugin(Manager([folder]), "words").health == "ok"


def test_unknown_name(folder: Path, write: Helper) -> None:
    """An unknown name is answered with the nearest one, and with the plugins that failed."""
    write("bad.py", "raise ValueError")
    with pytest.raises(UnknownNameError, match=r"'lstmm'.*Did you mean 'lstm'.*have failed.*bad"):
        Manager([folder]).get("models", "lstmm")


def test_unknown_kind() -> None:
    """An unknown kind is answered with the kinds there are."""
    for ask in (Manager().records, Manager().available):
        with pytest.raises(UnknownNameError, match=r"Available: loaders, models, .*tasks, tokenizers"):
            ask("cells")


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ("raise OSError('no disk')", "no disk"),
        ("raise SystemExit", "SystemExit"),
        ("Config = 7", "not a subclass of seqdemo.plugin.ModelConfig"),
        ("from seqdemo.plugin import TaskConfig as Config", "not a subclass"),
        ("", "has no attribute 'Config'"),
    ],
)
def test_bad_config(
    folder: Path, write: Helper, definition: str, said: str, good: Helper, plugin: Helper, messages: Helper
) -> None:
    """A config that cannot be used is one error that names the distribution, and is listed from then on."""
    write("odd/__init__.py", good("odd", "odd.config"))
    write("odd/config.py", definition)
    found = Manager([folder])
    assert plugin(found, "odd").health == "ok"
    with pytest.raises(PluginError, match="plugin 'odd' of odd") as caught:
        found.config_class("models", "odd")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert said in messages(plugin(found, "odd"), "config")


def test_bad_implementation(folder: Path, write: Helper, good: Helper, plugin: Helper, messages: Helper) -> None:
    """An implementation that is missing or cannot be called is listed after it was asked for."""
    write("odd.py", good("odd", "odd") + "\n    Config = 1\n    Model = 'no class'\n")
    found = Manager([folder])
    found.check(implementations=True)
    info = plugin(found, "odd")
    assert "cannot be called" in messages(info, "implementation")
    assert "not a subclass" in messages(info, "config")


def test_tokenizer_must_be_one(folder: Path, write: Helper) -> None:
    """A tokenizer record must name a Tokenizer class."""
    source = """
        from seqdemo.plugin import TokenizerRecord, hookimpl

        @hookimpl
        def seqdemo_tokenizers():
            return [TokenizerRecord("odd", "odd:Odd", "odd:Odd")]

        class Odd:
            pass
    """
    write("odd.py", source)
    with pytest.raises(PluginError, match=r"not a subclass of seqdemo\.plugin\.Tokenizer"):
        Manager([folder]).implementation("tokenizers", "odd")
