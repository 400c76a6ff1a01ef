"""The registry of plugins: whatever a plugin does wrong stays with that plugin, and is said."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seqdemo import manager as registry
from seqdemo.errors import PluginError, UnknownNameError
from seqdemo.manager import Manager, PluginInfo

GOOD = """
    from seqdemo.plugin import ModelRecord, hookimpl

    @hookimpl
    def seqdemo_models():
        return [ModelRecord("{name}", "{module}:Model", "{module}:Config", "A model.")]
"""

Write = Callable[[str, str], Path]
Distribute = Callable[..., Path]


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No plugin variables, no manager, and no module left over."""
    for name in ("SEQDEMO_PLUGINS", "SEQDEMO_LOAD_PLUGINS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(registry, "_manager", None)
    monkeypatch.setattr(registry, "_folders", ())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("_seqdemo_", "fake_")):
            del sys.modules[name]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty plugin folder."""
    place = tmp_path / "plugins"
    place.mkdir()
    return place


@pytest.fixture
def write(folder: Path) -> Write:
    """Writes one file of the plugin folder."""

    def make(name: str, source: str) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), "utf-8")
        return path

    return make


@pytest.fixture
def distribute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Distribute:
    """Installs a fake distribution: a module and a real ``.dist-info`` on ``sys.path``."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(name: str, source: str, entries: str = "", version: str = "1.2") -> Path:
        module = "fake_" + name.replace("-", "_")
        (site / f"{module}.py").write_text(textwrap.dedent(source).replace("{module}", module), "utf-8")
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
        (info / "entry_points.txt").write_text(f"[seqdemo]\n{entries or f'main = {module}'}\n", "utf-8")
        return site / f"{module}.py"

    return install


def plugin(found: Manager, name: str) -> PluginInfo:
    """The one plugin of that name or distribution."""
    (info,) = [info for info in found.plugins() if name in (info.name, info.distribution)]
    return info


def messages(info: PluginInfo, phase: str) -> str:
    """Its problems of one phase."""
    return "\n".join(problem.message for problem in info.problems if problem.phase == phase)


def good(name: str, module: str = "good") -> str:
    """A plugin that announces one model."""
    return GOOD.format(name=name, module=module)


class TestSources:
    def test_builtins_come_first_and_are_healthy(self) -> None:
        """The built-in plugin is found by name and registers through the same hooks."""
        first = Manager().plugins()[0]
        assert (first.name, first.distribution, first.health) == ("builtin", "seqdemo", "ok")
        assert "lstm" in first.records["models"]

    def test_one_file_plugin(self, folder: Path, write: Write) -> None:
        """A file in a folder is a plugin, and is its own distribution."""
        write("wave.py", good("wave", "wave"))
        found = Manager([folder])
        assert plugin(found, "wave").health == "ok"
        assert found.get("models", "wave").distribution == "wave"
        assert found.get("models", "wave:wave") is found.get("models", "wave")

    def test_package_plugin_imports_its_own_modules(self, folder: Path, write: Write) -> None:
        """A package in a folder reaches its modules relatively, and its records name them by the package's name."""
        write("ripple/__init__.py", "from .records import seqdemo_models\n")
        write("ripple/records.py", good("ripple", "ripple.config"))
        write(
            "ripple/config.py", "from seqdemo.plugin import ModelConfig\nclass Config(ModelConfig):\n    size: int = 3"
        )
        found = Manager([folder])
        assert found.config_class("models", "ripple")().model_dump()["size"] == 3

    def test_absolute_import_of_itself_is_explained(self, folder: Path, write: Write) -> None:
        """A package that imports itself absolutely is told to do it relatively."""
        write("ripple/__init__.py", "from ripple import records\n")
        assert "relatively" in messages(plugin(Manager([folder]), "ripple"), "import")

    def test_folder_plugin_does_not_hide_the_standard_library(self, folder: Path, write: Write) -> None:
        """A plugin file called json.py leaves the json module alone."""
        write("json.py", good("jason", "json"))
        found = Manager([folder])
        import json

        assert json.loads("[1]") == [1]
        assert plugin(found, "json").records["models"] == ("jason",)
        assert found.get("models", "jason").record.config.startswith("_seqdemo_")

    def test_two_folders_with_the_same_file_name(self, tmp_path: Path) -> None:
        """Plugins of the same file name in two folders are both loaded, as different distributions."""
        for place, name in (("a", "one"), ("b", "two")):
            (tmp_path / place).mkdir()
            (tmp_path / place / "same.py").write_text(textwrap.dedent(good(name, "same")))
        found = Manager([tmp_path / "a", tmp_path / "b"])
        assert {found.get("models", name).distribution for name in ("one", "two")} == {"same", "b/same"}

    def test_environment_names_folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """SEQDEMO_PLUGINS is a list like PATH; a folder named twice is read once."""
        for place in ("a", "b"):
            (tmp_path / place).mkdir()
            (tmp_path / place / f"{place}.py").write_text(textwrap.dedent(good(f"model-{place}", place)))
        a, b = str(tmp_path / "a"), str(tmp_path / "b")
        monkeypatch.setenv("SEQDEMO_PLUGINS", os.pathsep.join([a, b, a]))
        found = Manager([a])
        assert [info.name for info in found.plugins()][-2:] == ["a", "b"]

    def test_folder_that_is_not_there(self, tmp_path: Path) -> None:
        """A missing folder is a failed plugin, nothing worse."""
        info = plugin(Manager([tmp_path / "nowhere"]), "nowhere")
        assert info.health == "failed"
        assert "No such file" in messages(info, "import")

    def test_entry_point(self, distribute: Distribute) -> None:
        """An installed distribution is found by its entry point, with its name and version."""
        distribute("fake-tide", good("tide", "{module}"))
        found = Manager()
        info = plugin(found, "fake-tide")
        assert (info.version, info.health, info.records["models"]) == ("1.2", "ok", ("tide",))
        assert found.get("models", "Fake_Tide:tide").version == "1.2"

    def test_unreadable_metadata_hides_nobody(self, distribute: Distribute) -> None:
        """A distribution with a malformed entry point is listed as failed; the others load."""
        distribute("fake-broken", "", entries="no equals sign")
        distribute("fake-fine", good("fine"))
        found = Manager()
        assert plugin(found, "fake-fine").health == "ok"
        assert "metadata cannot be read" in messages(plugin(found, "fake-broken"), "import")

    def test_entry_point_to_nowhere(self, distribute: Distribute) -> None:
        """An entry point that names a missing module or attribute fails by itself."""
        distribute("fake-a", "", entries="one = fake_missing\ntwo = fake_fake_a:nothing\nthree = fake_fake_a:__doc__")
        failed = {info.name: info for info in Manager().plugins() if info.distribution == "fake-a"}
        assert [info.health for info in failed.values()] == ["failed"] * 3
        assert "No module named 'fake_missing'" in messages(failed["one"], "import")
        assert "no attribute 'nothing'" in messages(failed["two"], "import")
        assert "is None" in messages(failed["three"], "import")

    def test_object_with_hooks(self, distribute: Distribute) -> None:
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
        self, distribute: Distribute, folder: Path, write: Write, monkeypatch: pytest.MonkeyPatch
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


class TestBroken:
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
    def test_import_that_fails(self, folder: Path, write: Write, statement: str) -> None:
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

    def test_failed_import_leaves_nothing_behind(self, folder: Path, write: Write) -> None:
        """Neither a plugin that failed nor the modules it had imported of its own stay in sys.modules."""
        write("half/__init__.py", "from . import inner\nraise ValueError")
        write("half/inner.py", "")
        before = set(sys.modules)
        Manager([folder])
        assert not [name for name in set(sys.modules) - before if "half" in name]

    def test_ctrl_c_is_the_users(self, folder: Path, write: Write) -> None:
        """KeyboardInterrupt is not swallowed."""
        write("bad.py", "raise KeyboardInterrupt")
        with pytest.raises(KeyboardInterrupt):
            Manager([folder])

    def test_printing_goes_to_stderr(self, folder: Path, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
        """What a plugin prints cannot spoil what a command prints."""
        write("loud.py", "print('hello from a plugin')")
        Manager([folder])
        out, err = capsys.readouterr()
        assert out == ""
        assert "hello from a plugin" in err

    def test_hook_that_raises(self, folder: Path, write: Write) -> None:
        """A hook that raises takes neither the plugin's other hooks nor other plugins down."""
        write(
            "bad.py",
            good("survivor", "bad") + "\n    @hookimpl\n    def seqdemo_tasks():\n        raise SystemExit(1)\n",
        )
        write("good.py", good("good"))
        found = Manager([folder])
        assert "seqdemo_tasks raised: SystemExit: 1" in messages(plugin(found, "bad"), "hook")
        assert {"survivor", "good"} <= set(found.records("models"))

    def test_generator_that_raises_midway(self, folder: Path, write: Write) -> None:
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

    def test_endless_generator(self, folder: Path, write: Write) -> None:
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
    def test_misspelt_hook(self, folder: Path, write: Write, hook: str, marked: bool, nearest: str) -> None:
        """A hook that does not exist is reported with the nearest one that does, marked or not."""
        write(
            "bad.py",
            good("kept", "bad") + f"\n    {'@hookimpl' if marked else ''}\n    def {hook}():\n        return []\n",
        )
        info = plugin(Manager([folder]), "bad")
        assert f"There is no hook {hook!r}. Did you mean {nearest}" in messages(info, "hook")
        assert info.records["models"] == ("kept",)

    def test_unmarked_hook(self, folder: Path, write: Write) -> None:
        """A hook without @hookimpl is reported, not called."""
        write("bad.py", "def seqdemo_models():\n    raise ValueError\n")
        assert "put @hookimpl above it" in messages(plugin(Manager([folder]), "bad"), "hook")

    def test_hook_with_wrong_arguments(self, folder: Path, write: Write) -> None:
        """A hook that wants arguments it does not get is refused, naming it."""
        write("bad.py", "from seqdemo.plugin import hookimpl\n@hookimpl\ndef seqdemo_models(config):\n    return []\n")
        text = messages(plugin(Manager([folder]), "bad"), "hook")
        assert "PluginValidationError" in text
        assert "config" in text

    def test_wrapper(self, folder: Path, write: Write) -> None:
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
    def test_rubbish(self, folder: Path, write: Write, returned: str, said: str) -> None:
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
            ("'1.3'", "needs contract 1.3, this seqdemo offers 1.0; upgrade seqdemo"),
            ("'2.0'", "upgrade seqdemo"),
            ("'0.9'", "upgrade the plugin"),
            ("'one'", "is not a version"),
            ("1.0", "is not a version"),
            ("(1, 0)", "is not a version"),
        ],
    )
    def test_contract(self, folder: Path, write: Write, stated: str, said: str) -> None:
        """A plugin for another contract is refused before its hooks are called."""
        write("new.py", f"seqdemo_contract = {stated}\n" + textwrap.dedent(good("new")))
        found = Manager([folder])
        assert said in messages(plugin(found, "new"), "contract")
        assert "new" not in found.records("models")

    def test_stated_contract_that_fits(self, folder: Path, write: Write) -> None:
        """The present contract is accepted."""
        write("now.py", "seqdemo_contract = '1.0'\n" + textwrap.dedent(good("now")))
        assert plugin(Manager([folder]), "now").health == "ok"


class TestClashes:
    def test_builtin_keeps_the_bare_name(self, folder: Path, write: Write) -> None:
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

    def test_first_distribution_keeps_the_bare_name(self, distribute: Distribute) -> None:
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

    def test_two_plugins_of_one_distribution(self, distribute: Distribute) -> None:
        """Within a distribution there is no second full name: the later one is refused."""
        path = distribute("fake-a", good("wave"), entries="one = fake_fake_a\ntwo = fake_other")
        path.with_name("fake_other.py").write_text(textwrap.dedent(good("wave")))
        found = Manager()
        assert found.get("models", "wave").plugin == "one"
        assert "same distribution" in messages(plugin(found, "two"), "name")
        assert plugin(found, "two").records["models"] == ()

    def test_one_module_loaded_twice(self, distribute: Distribute) -> None:
        """Two entry points to one module: the second one is reported and registers nothing."""
        distribute("fake-a", good("wave"), entries="one = fake_fake_a\ntwo = fake_fake_a")
        found = Manager()
        assert plugin(found, "one").health == "ok"
        assert "loaded already" in messages(plugin(found, "two"), "hook")

    def test_same_name_of_different_kinds(self, folder: Path, write: Write) -> None:
        """A model and a tokenizer may share a name."""
        write("words.py", good("bytes", "words"))
        assert plugin(Manager([folder]), "words").health == "ok"


class TestLookup:
    def test_unknown_name(self, folder: Path, write: Write) -> None:
        """An unknown name is answered with the nearest one, and with the plugins that failed."""
        write("bad.py", "raise ValueError")
        with pytest.raises(UnknownNameError, match=r"'lstmm'.*Did you mean 'lstm'.*have failed.*bad"):
            Manager([folder]).get("models", "lstmm")

    def test_unknown_kind(self) -> None:
        """An unknown kind is answered with the kinds there are."""
        for ask in (Manager().records, Manager().available):
            with pytest.raises(UnknownNameError, match="Available: models, tasks, tokenizers"):
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
    def test_bad_config(self, folder: Path, write: Write, definition: str, said: str) -> None:
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

    def test_bad_implementation(self, folder: Path, write: Write) -> None:
        """An implementation that is missing or cannot be called is listed after it was asked for."""
        write("odd.py", good("odd", "odd") + "\n    Config = 1\n    Model = 'no class'\n")
        found = Manager([folder])
        found.check(implementations=True)
        info = plugin(found, "odd")
        assert "cannot be called" in messages(info, "implementation")
        assert "not a subclass" in messages(info, "config")

    def test_tokenizer_must_be_one(self, folder: Path, write: Write) -> None:
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


def run(code: str, **environment: str) -> str:
    """Output of a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


class TestSlow:
    def test_one_file_plugin_with_torch(self, folder: Path, write: Write) -> None:
        """A plugin whose module imports torch works, and is listed as slow."""
        write("deep.py", "import torch\n" + textwrap.dedent(good("deep", "deep")))
        listed = (
            "from seqdemo.manager import Manager; print([(p.health, p.slow) for p in Manager([{!r}]).plugins()][-1])"
        )
        assert run(listed.format(str(folder))) == "('slow', ('torch',))"
        import torch  # noqa: F401 - the same where torch was loaded before

        info = plugin(Manager([folder]), "deep")
        assert (info.health, info.slow) == ("slow", ("torch",))
        assert info.records["models"] == ("deep",)

    def test_config_with_torch(self, folder: Path, write: Write) -> None:
        """A config module that imports torch works, and is reported once it was loaded."""
        write("deep/__init__.py", good("deep", "deep.config"))
        write(
            "deep/config.py",
            "import torch\nfrom seqdemo.plugin import ModelConfig\nclass Config(ModelConfig):\n    pass\n",
        )
        code = f"""
            from seqdemo.manager import Manager
            found = Manager([{str(folder)!r}])
            print(found.plugins()[-1].health)
            found.check()
            info = found.plugins()[-1]
            print(info.health, info.slow, info.problems[0].phase, info.problems[0].severity)
        """
        (folder.parent / "stub").mkdir()
        (folder.parent / "stub" / "torch.py").touch()
        assert run(code, PYTHONPATH=str(folder.parent / "stub")).splitlines() == ["ok", "slow ('torch',) config warning"]
        import torch  # noqa: F401

        found = Manager([folder])
        found.config_class("models", "deep")
        assert plugin(found, "deep").slow == ("torch",)

    def test_listing_imports_nothing_heavy(self) -> None:
        """Scanning the built-ins loads neither torch nor pydantic, and their configs load no torch."""
        code = """
            import sys
            from seqdemo.manager import manager
            manager().plugins()
            print([name for name in ("torch", "gradio", "pandas", "pydantic", "numpy") if name in sys.modules])
            manager().check()
            print([name for name in ("torch", "gradio", "pandas") if name in sys.modules])
            print([problem.message for info in manager().plugins() for problem in info.problems])
        """
        assert run(code, SEQDEMO_LOAD_PLUGINS="").splitlines() == ["[]"] * 3


class TestReload:
    def test_reload_imports_folders_afresh(self, folder: Path, write: Write) -> None:
        """An edit made within the same second, of the same length, is seen; what was held before still works."""
        write("wave.py", good("one", "wave"))
        registry.configure([folder])
        old = registry.manager()
        assert "one" in old.records("models")
        write("wave.py", good("two", "wave"))
        assert registry.manager() is old
        new = registry.reload()
        assert registry.manager() is new
        assert "two" in new.records("models")
        assert "one" not in new.records("models")
        assert "one" in old.records("models")

    def test_reload_tries_failed_distributions_again(self, distribute: Distribute) -> None:
        """A distribution that was mended between two scans loads at the second."""
        path = distribute("fake-sick", "raise ValueError")
        assert plugin(registry.manager(), "fake-sick").health == "failed"
        path.write_text(textwrap.dedent(good("cured")))
        assert plugin(registry.reload(), "fake-sick").health == "ok"

    def test_plugins_of_the_sdk(self, folder: Path, write: Write) -> None:
        """seqdemo.plugins(reload=True) scans again."""
        import seqdemo

        registry.configure([folder])
        write("wave.py", good("wave", "wave"))
        count = len(seqdemo.plugins())
        write("tide.py", good("tide", "tide"))
        assert len(seqdemo.plugins()) == count
        assert len(seqdemo.plugins(reload=True)) == count + 1

    def test_plugin_that_asks_for_the_registry(self, folder: Path, write: Write) -> None:
        """A plugin that asks for the list while it is being made gets an error, not a deadlock."""
        write("nosy.py", "from seqdemo.manager import manager\nmanager()\n")
        registry.configure([folder])
        assert "asked for the list" in messages(plugin(registry.manager(), "nosy"), "import")

    def test_threads_share_one_scan(self, folder: Path, write: Write) -> None:
        """However many threads ask first, plugins are imported once, and all get the same manager."""
        marker = folder.parent / "imports"
        write("count.py", f"with open({str(marker)!r}, 'a') as f: f.write('x')\nimport time; time.sleep(0.05)\n")
        registry.configure([folder])
        found: list[Manager] = []
        threads = [threading.Thread(target=lambda: found.append(registry.manager())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert marker.read_text() == "x"
        assert len(set(map(id, found))) == 1
