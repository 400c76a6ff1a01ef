"""What listing costs, and scanning again."""

from __future__ import annotations

import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqdemo import manager as registry
from seqdemo.manager import Manager

Helper = Callable[..., Any]


def test_one_file_plugin_with_torch(folder: Path, write: Helper, good: Helper, plugin: Helper, run: Helper) -> None:
    """A plugin whose module imports torch works, and is listed as slow."""
    write("deep.py", "import torch\n" + textwrap.dedent(good("deep", "deep")))
    listed = "from seqdemo.manager import Manager; print([(p.health, p.slow) for p in Manager([{!r}]).plugins()][-1])"
    assert run(listed.format(str(folder))) == "('slow', ('torch',))"
    import torch  # noqa: F401 - the same where torch was loaded before

    info = plugin(Manager([folder]), "deep")
    assert (info.health, info.slow) == ("slow", ("torch",))
    assert info.records["models"] == ("deep",)


def test_config_with_torch(folder: Path, write: Helper, good: Helper, plugin: Helper, run: Helper) -> None:
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
    assert run(code, PYTHONPATH=str(folder.parent / "stub")).splitlines() == [
        "ok",
        "slow ('torch',) config warning",
    ]
    import torch  # noqa: F401

    found = Manager([folder])
    found.config_class("models", "deep")
    assert plugin(found, "deep").slow == ("torch",)


def test_listing_imports_nothing_heavy(run: Helper) -> None:
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


def test_reload_imports_folders_afresh(folder: Path, write: Helper, good: Helper) -> None:
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


def test_reload_tries_failed_distributions_again(distribute: Helper, good: Helper, plugin: Helper) -> None:
    """A distribution that was mended between two scans loads at the second."""
    path = distribute("fake-sick", "raise ValueError")
    assert plugin(registry.manager(), "fake-sick").health == "failed"
    path.write_text(textwrap.dedent(good("cured")))
    assert plugin(registry.reload(), "fake-sick").health == "ok"


def test_plugins_of_the_sdk(folder: Path, write: Helper, good: Helper) -> None:
    """seqdemo.plugins(reload=True) scans again."""
    import seqdemo

    registry.configure([folder])
    write("wave.py", good("wave", "wave"))
    count = len(seqdemo.plugins())
    write("tide.py", good("tide", "tide"))
    assert len(seqdemo.plugins()) == count
    assert len(seqdemo.plugins(reload=True)) == count + 1


def test_plugin_that_asks_for_the_registry(folder: Path, write: Helper, plugin: Helper, messages: Helper) -> None:
    """A plugin that asks for the list while it is being made gets an error, not a deadlock."""
    write("nosy.py", "from seqdemo.manager import manager\nmanager()\n")
    registry.configure([folder])
    assert "asked for the list" in messages(plugin(registry.manager(), "nosy"), "import")


def test_threads_share_one_scan(folder: Path, write: Helper) -> None:
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
