"""Where plugins are found: distributions, folders, and what selects among them."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqdemo import manager as registry
from seqdemo.manager import Manager

Helper = Callable[..., Any]


def test_builtins_come_first_and_are_healthy() -> None:
    """The built-in plugin is found by name and registers through the same hooks."""
    first = Manager().plugins()[0]
    assert (first.name, first.distribution, first.health) == ("builtin", "seqdemo", "ok")
    assert "lstm" in first.records["models"]


def test_one_file_plugin(folder: Path, write: Helper, good: Helper, plugin: Helper) -> None:
    """A file in a folder is a plugin, and is its own distribution."""
    write("wave.py", good("wave", "wave"))
    found = Manager([folder])
    assert plugin(found, "wave").health == "ok"
    assert found.get("models", "wave").distribution == "wave"
    assert found.get("models", "wave:wave") is found.get("models", "wave")


def test_package_plugin_imports_its_own_modules(folder: Path, write: Helper, good: Helper) -> None:
    """A package in a folder reaches its modules relatively, and its records name them by the package's name."""
    write("ripple/__init__.py", "from .records import seqdemo_models\n")
    write("ripple/records.py", good("ripple", "ripple.config"))
    write("ripple/config.py", "from seqdemo.plugin import ModelConfig\nclass Config(ModelConfig):\n    size: int = 3")
    found = Manager([folder])
    assert found.config_class("models", "ripple")().model_dump()["size"] == 3


def test_one_file_is_a_whole_plugin(folder: Path, write: Helper) -> None:
    """Hook, config and cell in one file: it builds a model that a pipeline can use."""
    source = """
        import torch
        from seqdemo.plugin import Cell, ModelConfig, ModelRecord, hookimpl

        @hookimpl
        def seqdemo_models():
            return [ModelRecord("leaky", "leaky:Leaky", "leaky:LeakyConfig", "Leaky sums.")]

        class LeakyConfig(ModelConfig):
            leak: float = 0.5

        class Leaky(Cell):
            def __init__(self, config, input_size):
                super().__init__(input_size, config.hidden_size)
                self.leak = config.leak
                self.read = torch.nn.Linear(input_size, config.hidden_size)

            def initial_state(self, batch_size):
                return {"h": torch.zeros(batch_size, self.output_size)}

            def step(self, x, state):
                h = self.leak * state["h"] + self.read(x)
                return h, {"h": h}
    """
    write("leaky.py", source)
    registry.configure([folder])
    import seqdemo

    pipe = seqdemo.pipeline(model="leaky", model_config={"hidden_size": 5, "leak": 0.25}, device="cpu")
    assert len(pipe.generate("abc", max_tokens=4, seed=1).tokens) == 4
    assert pipe.parts.models["decoder"].distribution == "leaky"


def test_absolute_import_of_itself_is_explained(folder: Path, write: Helper, plugin: Helper, messages: Helper) -> None:
    """A package that imports itself absolutely is told to do it relatively."""
    write("ripple/__init__.py", "from ripple import records\n")
    assert "relatively" in messages(plugin(Manager([folder]), "ripple"), "import")


def test_folder_plugin_does_not_hide_the_standard_library(
    folder: Path, write: Helper, good: Helper, plugin: Helper
) -> None:
    """A plugin file called json.py leaves the json module alone."""
    write("json.py", good("jason", "json"))
    found = Manager([folder])

    assert json.loads("[1]") == [1]
    assert plugin(found, "json").records["models"] == ("jason",)
    assert found.get("models", "jason").record.config.startswith("_seqdemo_")


def test_two_folders_with_the_same_file_name(tmp_path: Path, good: Helper) -> None:
    """Plugins of the same file name in two folders are both loaded, as different distributions."""
    for place, name in (("a", "one"), ("b", "two")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "same.py").write_text(textwrap.dedent(good(name, "same")))
    found = Manager([tmp_path / "a", tmp_path / "b"])
    assert {found.get("models", name).distribution for name in ("one", "two")} == {"same", "b/same"}


def test_environment_names_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: Helper) -> None:
    """SEQDEMO_PLUGINS is a list like PATH; a folder named twice is read once."""
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / f"{place}.py").write_text(textwrap.dedent(good(f"model-{place}", place)))
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    monkeypatch.setenv("SEQDEMO_PLUGINS", os.pathsep.join([a, b, a]))
    found = Manager([a])
    assert [info.name for info in found.plugins()][-2:] == ["a", "b"]


def test_folder_that_is_not_there(tmp_path: Path, plugin: Helper, messages: Helper) -> None:
    """A missing folder is a failed plugin, nothing worse."""
    info = plugin(Manager([tmp_path / "nowhere"]), "nowhere")
    assert info.health == "failed"
    assert "No such file" in messages(info, "import")


def test_entry_point(distribute: Helper, good: Helper, plugin: Helper) -> None:
    """An installed distribution is found by its entry point, with its name and version."""
    distribute("fake-tide", good("tide", "{module}"))
    found = Manager()
    info = plugin(found, "fake-tide")
    assert (info.version, info.health, info.records["models"]) == ("1.2", "ok", ("tide",))
    assert found.get("models", "Fake_Tide:tide").version == "1.2"


def test_unreadable_metadata_hides_nobody(distribute: Helper, good: Helper, plugin: Helper, messages: Helper) -> None:
    """A distribution with a malformed entry point is listed as failed; the others load."""
    distribute("fake-broken", "", entries="no equals sign")
    distribute("fake-fine", good("fine"))
    found = Manager()
    assert plugin(found, "fake-fine").health == "ok"
    assert "metadata cannot be read" in messages(plugin(found, "fake-broken"), "import")


def test_entry_point_to_nowhere(distribute: Helper, messages: Helper) -> None:
    """An entry point that names a missing module or attribute fails by itself."""
    distribute("fake-a", "", entries="one = fake_missing\ntwo = fake_fake_a:nothing\nthree = fake_fake_a:__doc__")
    failed = {info.name: info for info in Manager().plugins() if info.distribution == "fake-a"}
    assert [info.health for info in failed.values()] == ["failed"] * 3
    assert "No module named 'fake_missing'" in messages(failed["one"], "import")
    assert "no attribute 'nothing'" in messages(failed["two"], "import")
    assert "is None" in messages(failed["three"], "import")


def test_object_with_hooks(distribute: Helper) -> None:
    """An entry point may name an object whose methods are hooks."""
    source = """
        from seqdemo.plugin import ModelRecord, hookimpl

        class Plugin:
            @hookimpl
            def seqdemo_models(self):
                yield ModelRecord("object-model", "x:Y", "x:Z")

        plugin = Plugin()
    """
    distribute("fake-object", source, entries="main = fake_fake_object:plugin")
    assert "object-model" in Manager().records("models")


def test_selection(
    distribute: Helper,
    folder: Path,
    write: Helper,
    monkeypatch: pytest.MonkeyPatch,
    good: Helper,
    plugin: Helper,
    messages: Helper,
) -> None:
    """SEQDEMO_LOAD_PLUGINS names the distributions and plugins that load; empty means built-ins only."""
    distribute("fake-a", good("a"))
    distribute("fake-b", good("b"))
    write("c.py", good("c"))
    monkeypatch.setenv("SEQDEMO_LOAD_PLUGINS", "Fake_A, c")
    assert [info.distribution for info in Manager([folder]).plugins()] == ["seqdemo", "fake-a", "c"]
    monkeypatch.setenv("SEQDEMO_LOAD_PLUGINS", "")
    assert [info.distribution for info in Manager([folder]).plugins()] == ["seqdemo"]
    monkeypatch.setenv("SEQDEMO_LOAD_PLUGINS", "nobody")
    assert "no plugin is called that" in messages(plugin(Manager([folder]), "nobody"), "import")
