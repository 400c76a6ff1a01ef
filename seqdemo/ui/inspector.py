"""The side panel about one token: what else the model could have said there."""

from __future__ import annotations

import math

import gradio as gr

from seqdemo.plugin import Alternative, Token

from .assets import script
from .markup import Markup, element, join, visible
from .words import ENGLISH, Words

__all__ = ["inspector", "percent", "token_view"]


def inspector() -> gr.HTML:
    """The component; its value is made by :func:`token_view`.

    It triggers ``instead`` (message, token, other) and ``within`` (message, token).
    """
    title = element("h2", data_say="inspector.token")
    hint = element("p", data_say="inspector.hint", class_="sd-hint")
    return gr.HTML(
        value=element("section", title, hint, class_="sd-card sd-idle"),
        html_template="${value}",
        js_on_load=script("inspector.js"),
        apply_default_css=False,
        elem_id="sd-inspector",
        elem_classes=["sd-inspector"],
    )


def percent(value: float) -> str:
    """``0.251`` -> ``"25.1 %"``."""
    if value <= 0:
        return "0 %"
    if value < 0.0005:
        return "< 0.1 %"
    return f"{100 * value:.1f} %"


def _bar(kind: str, value: float) -> Markup:
    width = f"width:{100 * min(max(value, 0.0), 1.0):.2f}%"
    track = element(
        "span", element("span", class_=f"sd-bar {kind}", style=width), class_="sd-track", aria_hidden="true"
    )
    return element("td", track, element("span", percent(value), class_="sd-percent"))


def _on(alternative: Alternative, words: Words) -> Markup:
    name = words("inspector.on_name", token=visible(alternative.text))
    return element(
        "td",
        element("button", "↳", type="button", class_="sd-on", data_other=alternative.id, aria_label=name, title=name),
    )


def _row(alternative: Alternative, chosen: bool, words: Words) -> Markup:
    name = element("span", visible(alternative.text), class_="sd-glyphs")
    label = [name, element("span", words("inspector.chosen"), class_="sd-chosen-mark")] if chosen else [name]
    head = element("th", *label, scope="row")
    bars = _bar("sd-raw", alternative.raw), _bar("sd-ruled", alternative.ruled)
    return element("tr", head, *bars, _on(alternative, words), class_="sd-chosen" * chosen)


def token_view(token: Token | None, words: Words = ENGLISH, place: tuple[int, int] = (0, 0)) -> Markup:
    """The panel about a token, or what it is for when none is chosen.

    Args:
        place: the message, and which of its tokens it is.
    """
    if token is None:
        idle = element("h2", words("inspector.token")), element("p", words("inspector.hint"), class_="sd-hint")
        return element("section", *idle, class_="sd-card sd-idle")
    buttons = [
        element("button", "‹", type="button", data_step="-1", aria_label=words("inspector.previous")),
        element("button", "›", type="button", data_step="1", aria_label=words("inspector.next")),
        element("button", "×", type="button", data_step="0", aria_label=words("inspector.close")),
    ]
    # The text that became certain with a token need not be the token's own: half a character is held back.
    own = next((one.text for one in token.alternatives if one.id == token.id), token.text)
    title = element("h2", words("inspector.token"), " ", element("span", visible(own), class_="sd-glyphs"))
    facts = [
        (words("inspector.probability"), percent(math.exp(token.logprob))),
        (words("inspector.surprise"), words("inspector.bits", bits=f"{-token.logprob / math.log(2):.2f}")),
        (words("inspector.entropy"), words("inspector.bits", bits=f"{token.entropy / math.log(2):.2f}")),
        (words("inspector.position"), f"{token.position:,}"),
    ]
    pairs = [element("div", element("dt", name), element("dd", value)) for name, value in facts]
    parts = [
        element("header", title, element("div", *buttons, class_="sd-steps")),
        element("dl", *pairs, class_="sd-facts"),
    ]
    rows = [_row(one, one.id == token.id, words) for one in token.alternatives]
    if rows:
        caption = element("caption", words("inspector.likeliest"), class_="sd-hidden")
        columns = ("inspector.column_token", "inspector.column_model", "inspector.column_ruled")
        heads = [element("th", words(column), scope="col") for column in columns]
        heads.append(element("th", element("span", words("inspector.column_on"), class_="sd-hidden"), scope="col"))
        head = element("thead", element("tr", *heads))
        parts.append(element("table", caption, head, element("tbody", *rows)))
        parts.append(element("p", words("inspector.on_hint"), class_="sd-hint"))
    else:
        parts.append(element("p", words("inspector.unrecorded"), class_="sd-hint"))
    stand = element(
        "button",
        words("inspector.stand"),
        type="button",
        class_="sd-tool",
        data_stand=True,
        title=words("inspector.about"),
    )
    parts.append(element("div", stand, class_="sd-foot-tools"))
    message, at = place
    return element(
        "section",
        join(*parts),
        class_="sd-card sd-open",
        data_message=message,
        data_token=at,
        aria_label=words("inspector.token"),
    )
