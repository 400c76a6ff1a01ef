"""Where the page is served, and what its building imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from seqdemo.errors import ConfigError


def test_a_taken_port_is_said_in_one_line(served: tuple[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for a port that is in use, by argument or environment, names the port and another one to try."""
    from seqdemo.ui import serve

    url, source = served
    taken = int(url.rstrip("/").rpartition(":")[2])
    with pytest.raises(ConfigError, match=f"{taken}.*--port {taken + 1}"):
        serve(port=taken, source=source)
    monkeypatch.setenv("GRADIO_SERVER_PORT", str(taken))
    with pytest.raises(ConfigError, match=str(taken)):
        serve(source=source)
    monkeypatch.setenv("GRADIO_SERVER_PORT", "x")
    with pytest.raises(ConfigError, match="GRADIO_SERVER_PORT = 'x'"):
        serve(source=source)
    for wrong in (0, 70_000):
        with pytest.raises(ConfigError, match="does not exist"):
            serve(port=wrong, source=source)


def test_the_environment_names_host_and_port(
    make_source: Callable[[], Any], free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """GRADIO_SERVER_NAME and GRADIO_SERVER_PORT are honoured; without them only this machine is served."""
    from seqdemo.ui import serve

    port = free_port()
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    monkeypatch.setenv("GRADIO_SERVER_PORT", str(port))
    demo = serve(source=make_source())
    assert (demo.server_name, demo.server_port) == ("0.0.0.0", port)
    demo.close(verbose=False)
    monkeypatch.delenv("GRADIO_SERVER_NAME")
    monkeypatch.delenv("GRADIO_SERVER_PORT")
    demo = serve(port=free_port(), source=make_source())
    assert demo.server_name == "127.0.0.1"
    demo.close(verbose=False)


def test_a_visit_copies_no_conversations(make_source: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradio deep-copies the page's layout for each visit: it holds nothing by which what the server keeps is found."""
    import copy

    from seqdemo.ui import build
    from seqdemo.ui.loader import Loader
    from seqdemo.ui.tabs import Tabs

    def copied(self: object, _: dict[int, object]) -> object:
        raise AssertionError(f"{type(self).__name__} was copied.")

    source = make_source()
    for one in (Tabs, Loader, type(source)):
        monkeypatch.setattr(one, "__deepcopy__", copied, raising=False)
    config = build(source).config
    assert copy.deepcopy(config)["components"]


def test_no_event_shows_progress_of_gradios(make_source: Callable[[], Any]) -> None:
    """What one event shows progress on is worked on after every update of every other, so no event does."""
    from seqdemo.ui import build

    events = build(make_source()).config["dependencies"]
    assert len(events) > 30
    assert [one["api_name"] for one in events if one["outputs"] and one["show_progress_on"] != []] == []


def test_the_page_is_built_without_torch() -> None:
    """Building the page over the real SDK imports gradio, and no torch; importing its package imports neither."""
    code = (
        "import sys, seqdemo.ui; assert not {'gradio', 'torch'} & set(sys.modules);"
        "seqdemo.ui.build(); assert 'gradio' in sys.modules; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
