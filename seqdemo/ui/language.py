"""Which language a page is in, and how texts reach it.

The server decides, by what the reader chose on the page (a cookie) or else by the browser's ``Accept-Language``, and
writes it into the page before any script of it runs. So labels, which gradio's own script translates, texts made by
the server and texts made by the page's scripts all agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr
from gradio.i18n import I18nData
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .assets import script
from .markup import Markup, element
from .words import CHINESE, ENGLISH, TABLE, Words, option, preferred, spoken

__all__ = ["COOKIE", "Languages", "described", "heading", "i18n", "label", "suited", "switch", "words_of"]

COOKIE = "seqdemo-language"
_TAGS = [words.language.partition("-")[0] for words in (ENGLISH, CHINESE)]
_DESCRIBED = {english: key for key, (english, _) in option.WORDS.items()}


def i18n() -> gr.I18n:
    """The whole table, as gradio takes it."""
    english = {key: pair[0] for key, pair in TABLE.items()}
    chinese = {key: pair[1] for key, pair in TABLE.items()}
    return gr.I18n(**{ENGLISH.language: english, CHINESE.language: chinese})


def label(key: str) -> I18nData:
    """A text of a component that never changes: label, info, placeholder, the value of a button."""
    TABLE[key]
    return I18nData(key)


def heading(name: str, key: str) -> Markup:
    """A heading that never changes, ``heading("h2", "plugins.title")``, as the value of a ``gr.HTML``."""
    return element(name, Markup(label(key)))


def described(text: str) -> str | I18nData:
    """The name or the description of an option: translated if it is a built-in one's, otherwise as it is."""
    return label(_DESCRIBED[text]) if text in _DESCRIBED else text


def words_of(request: gr.Request | Request) -> Words:
    """The texts for whoever made a request."""
    asked = request.request if isinstance(request, gr.Request) else request
    if asked is None:
        return ENGLISH
    if (chosen := asked.cookies.get(COOKIE)) is not None:
        return spoken(chosen)
    return preferred(asked.headers.get("accept-language", ""))


def suited(names: Sequence[str], words: Words | None) -> list[str]:
    """Checkpoints in the order a page offers to begin with: a name says its language at its end, ``chat-zh``.

    Those in the page's language come first, those that name none next, those in another last; without ``words``, those
    that name none come first.
    """
    spoken_here = words.language.partition("-")[0] if words is not None else ""

    def rank(name: str) -> int:
        tag = name.rpartition("-")[2]
        return 0 if tag == spoken_here else 2 if tag in _TAGS else 1

    return sorted(names, key=rank)


def switch() -> gr.HTML:
    """The component that changes the language of the page."""
    return gr.HTML(
        value="",
        html_template='<button type="button" data-say="page.other"></button>',
        js_on_load=script("language.js"),
        apply_default_css=False,
        elem_id="sd-language",
    )


class Languages:
    """Writes the language into each page that is opened. ASGI middleware.

    Args:
        head: more to write into its head; the page that asks for a login has no other way to have it.
    """

    def __init__(self, app: ASGIApp, head: str = "") -> None:
        self._app = app
        self._head = head.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        language = words_of(Request(scope)).language
        start: Message | None = None
        body = b""

        async def written(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_page(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    page = _in_language(body, language).replace(b"</head>", self._head + b"</head>", 1)
                    headers = MutableHeaders(raw=start["headers"])
                    headers["content-length"] = str(len(page))
                    headers.append("vary", "Accept-Language, Cookie")
                    await send(start)
                    await send({"type": "http.response.body", "body": page})

        await self._app(scope, receive, written)


def _is_page(start: Message) -> bool:
    headers = MutableHeaders(raw=start["headers"])
    return headers.get("content-type", "").startswith("text/html") and "content-encoding" not in headers


def _in_language(page: bytes, language: str) -> bytes:
    """The document's ``lang``, and a browser that says it speaks that language: gradio goes by what it says."""
    script = f'<script>Object.defineProperty(navigator, "language", {{ value: "{language}" }});</script>'
    named = page.replace(b'lang="en"', f'lang="{language}"'.encode(), 1)
    return named.replace(b"<head>", b"<head>" + script.encode(), 1)
