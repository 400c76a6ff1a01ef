"""Which language a page is in: decided by the server, written into the document, the same for everything on it."""

from __future__ import annotations

from collections.abc import Iterator

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from seqdemo.ui.language import COOKIE, Languages, described, heading, i18n, label, suited, words_of
from seqdemo.ui.words import CHINESE, ENGLISH, TABLE

PAGE = '<html\n\tlang="en"\n\tstyle="x">\n<head>\n<script type="module" src="x.js"></script></head></html>'


async def page(request: Request) -> Response:
    return HTMLResponse(PAGE)


async def pieces(request: Request) -> Response:
    def one_by_one() -> Iterator[str]:
        yield from PAGE

    return StreamingResponse(one_by_one(), media_type="text/html")


async def data(request: Request) -> Response:
    return JSONResponse({"page": PAGE, "language": words_of(request).language})


@pytest.fixture
def client() -> TestClient:
    routes = [Route("/", page, methods=["GET", "POST"]), Route("/pieces", pieces), Route("/data", data)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Languages)]))


@pytest.mark.parametrize("path", ["/", "/pieces"])
def test_a_page_says_its_language_before_its_scripts_run(client: TestClient, path: str) -> None:
    """The document and the browser it runs in speak one language, however the page is sent; caches are told."""
    found = client.get(path, headers={"accept-language": "zh-Hans-CN,en;q=0.5"})
    assert '<html\n\tlang="zh-CN"' in found.text
    assert found.text.index('"language", { value: "zh-CN" }') < found.text.index('type="module"')
    assert "accept-language" in found.headers["vary"].lower()
    if path == "/":
        assert int(found.headers["content-length"]) == len(found.content)
    assert 'lang="en"' in client.get(path, headers={"accept-language": "fr"}).text


def test_what_was_chosen_on_the_page_counts_more(client: TestClient) -> None:
    """The cookie decides, also against the browser; anything else in it means English."""
    chinese = {"accept-language": "zh-CN"}
    for cookie, language in ((CHINESE.language, "zh-CN"), ("en", "en"), ('"><script>', "en")):
        sent = {**chinese, "cookie": f"{COOKIE}={cookie}"}
        assert f'lang="{language}"' in client.get("/", headers=sent).text
        assert client.get("/data", headers=sent).json()["language"] == language


def test_everything_but_pages_passes_untouched(client: TestClient) -> None:
    """Data and answers to forms are sent as they are."""
    headers = {"accept-language": "zh-CN"}
    assert client.get("/data", headers=headers).json()["page"] == PAGE
    assert client.post("/", headers=headers).text == PAGE


def test_labels_reach_gradio_by_their_keys() -> None:
    """Each key stands for its text in both languages; one that does not exist is found when the page is built."""
    assert str(label("chat.send")) == '__i18n__{"__type__": "translation_metadata", "key": "chat.send"}'
    with pytest.raises(KeyError):
        label("chat.nonsense")
    translations = i18n().translations_dict
    assert translations["zh-CN"] == {key: chinese for key, (_, chinese) in TABLE.items()}
    assert translations["en"] == {key: english for key, (english, _) in TABLE.items()}
    assert heading("h2", "plugins.title") == f"<h2>{label('plugins.title')}</h2>"


def test_options_of_plugins_keep_their_own_words() -> None:
    """A built-in option is translated by its English text; any other stays as its schema has it."""
    assert getattr(described("Temperature"), "key", None) == "option.temperature"
    assert described("Wobble of the third layer.") == "Wobble of the third layer."


def test_a_request_without_a_browser_is_english() -> None:
    """As from the Python client."""
    assert words_of(gr.Request()) is ENGLISH


def test_a_page_begins_with_a_checkpoint_in_its_language() -> None:
    """Those named after the page's language first, those of another last; raw text prefers those of none."""
    names = ["chat-en", "chat-zh", "shakespeare", "stories"]
    assert suited(names, ENGLISH) == ["chat-en", "shakespeare", "stories", "chat-zh"]
    assert suited(names, CHINESE) == ["chat-zh", "shakespeare", "stories", "chat-en"]
    assert suited(names, None) == ["shakespeare", "stories", "chat-en", "chat-zh"]
