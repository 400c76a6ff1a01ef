"""The page, assembled: one module for each tab."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from seqdemo.errors import ConfigError, SeqdemoError
from seqdemo.files import home
from seqdemo.passwords import Passwords

from . import memory
from .answers import AnswerTab
from .assets import asset
from .blocks import Page
from .chat import ChatTab
from .compare import CompareTab
from .kinds import kinds
from .language import Languages, i18n, label, switch
from .loader import Loader
from .markup import element
from .models import ModelsTab
from .notebook import NotebookTab
from .plugins import plugins_tab
from .source import Sdk, Source
from .theme import styles, theme
from .visitors import Cookies, Visitors, secret

__all__ = ["build", "launch", "serve"]

_FILES = (3600, 24 * 3600)
"""Seconds between two looks at uploads and downloads, and the age at which they are deleted; all are at the end."""
_LOCAL = ("127.0.0.1", "localhost", "::1", "[::1]")
_OPEN = (
    "Whoever reaches this address can talk with its models. Adding, loading and unloading them, scanning for plugins "
    "and tracebacks are off: they need logins (seqdemo passwords add NAME --admin, then --auth FILE)."
)


def build(source: Source | None = None, *, visitors: Visitors | None = None) -> gr.Blocks:
    """The page's blocks, not served yet. Imports no torch.

    Args:
        source: where checkpoints, plugins and conversations come from; the installed seqdemo when None.
        visitors: tells them apart; by the key kept at home when None.
    """
    chosen = source if source is not None else Sdk()
    known = visitors if visitors is not None else Visitors(secret(home()))
    loader = Loader(chosen)
    demo = Page(title="seqdemo", analytics_enabled=False, fill_width=True, delete_cache=_FILES)
    with demo:
        gr.HTML(
            element("header", element("h1", "seqdemo"), class_="sd-brand"),
            apply_default_css=False,
            js_on_load=None,
            elem_id="sd-header",
        )
        switch()
        with gr.Tabs(elem_id="sd-tabs"):
            with gr.Tab(label("page.chat"), id="chat", elem_id="sd-tab-chat"):
                chat = ChatTab(demo, chosen, known, loader)
            with gr.Tab(label("compare.tab"), id="compare", elem_id="sd-tab-compare"):
                CompareTab(chosen, known, loader, chat.tabs)
            with gr.Tab(label("notebook.tab"), id="notebook", elem_id="sd-tab-notebook"):
                NotebookTab(chosen, known, loader, chat.tabs)
            for kind in kinds(chosen.tasks().values()):
                AnswerTab(demo, chosen, known, loader, kind)
            ModelsTab(chosen, known, loader, chat.model, chat.names)
            with gr.Tab(label("page.plugins"), id="plugins", elem_id="sd-tab-plugins"):
                plugins_tab(demo, chosen, known)
    demo.queue(api_open=False, max_size=256)
    return demo


def serve(
    host: str | None = None,
    port: int | None = None,
    open_browser: bool = False,
    source: Source | None = None,
    auth: str | Path | None = None,
) -> gr.Blocks:
    """Serve the page from a background thread; ``close()`` of the blocks ends it.

    Args:
        host: address to listen at; ``GRADIO_SERVER_NAME``, or this machine only, when None.
        port: ``GRADIO_SERVER_PORT``, or the first free one from 7860, when None.
        open_browser: show it in the browser.
        source: where checkpoints, plugins and conversations come from; the installed seqdemo when None.
        auth: a file of passwords, without which nobody uses the page.

    Raises:
        ConfigError: the address, the port or the passwords cannot be used.
        StoreError: the key that cookies are signed with cannot be read or made.
    """
    host = host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    if port is None and (named := os.environ.get("GRADIO_SERVER_PORT")):
        if not named.isascii() or not named.isdigit():
            raise ConfigError(f"GRADIO_SERVER_PORT = {named!r} is not a port. Set it to a number from 1 to 65535.")
        port = int(named)
    if port is not None and not 0 < port < 65_536:
        raise ConfigError(f"Port {port} does not exist. Choose one from 1 to 65535.")
    passwords = Passwords(auth) if auth is not None else None
    check: Any = passwords.check if passwords is not None else None  # gradio awaits it; its annotation does not say so
    if passwords is not None and not passwords.logins():
        raise ConfigError(f"{auth} names nobody. Let somebody in: seqdemo passwords add NAME --file {auth}.")
    login = f"<style>{asset('login.css')}</style>"
    visitors = Visitors(secret(home()), passwords, local=host in _LOCAL)
    demo = build(source, visitors=visitors)
    try:
        demo.launch(
            server_name=host,
            server_port=port,
            inbrowser=open_browser,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            run_history=False,
            footer_links=[],
            show_error=False,
            auth=check,
            _frontend=False,  # else gradio asks for the whole page once, and gives up on a machine busy for 3 s
            theme=theme(),
            css=styles(),
            app_kwargs={"middleware": [Middleware(Cookies, visitors=visitors), Middleware(Languages, head=login)]},
            i18n=i18n(),
            favicon_path=Path(__file__).parent / "assets" / "favicon.svg",
        )
    except OSError as error:
        raise _unusable(host, port, error) from error
    return demo


def _unusable(host: str, port: int | None, error: OSError) -> SeqdemoError:
    if port is None:
        return ConfigError(f"No page can be served at {host}: {error}. Free a port, or give one: --port 8080.")
    return ConfigError(
        f"The page cannot be served at {host}:{port}: the port is taken, or {host} is not this machine's. "
        f"End what uses it, or give another one: --port {port + 1 if port < 65_535 else 8080}."
    )


def launch(
    host: str | None = None,
    port: int | None = None,
    open_browser: bool = True,
    plugins: Sequence[str | Path] = (),
    *,
    auth: str | Path | None = None,
    say: Any = print,
) -> None:
    """Open the page, and stay until Ctrl-C.

    Args:
        host, port: as for :func:`serve`.
        open_browser: show it in the browser.
        plugins: folders of plugins to load, beside those named already.
        auth: as for :func:`serve`.
        say: is given the line that tells where the page is.

    Raises:
        ConfigError: the address, the port or the passwords cannot be used.
    """
    if plugins:
        from seqdemo.manager import configure

        configure(plugins)
    demo = serve(host, port, open_browser, auth=auth)
    with memory.serving():
        try:
            say(f"seqdemo is at {demo.local_url} - Ctrl-C ends it.")
            if auth is None and demo.server_name not in _LOCAL:
                say(_OPEN)
            while demo.is_running:
                time.sleep(0.2)
        except KeyboardInterrupt:
            pass
        finally:
            demo.close(verbose=False)
