"""How checkpoints look in the Models tab: one card for each."""

from __future__ import annotations

from collections.abc import Sequence

from seqdemo.adding import Offer

from .inventory import Entry, Memory
from .markup import Markup, element, join
from .status import bytes_text
from .words import ENGLISH, Words

__all__ = ["models_view", "offer_view"]

_ORIGINS = {
    "shipped": "models.shipped",
    "trained": "models.trained",
    "added": "models.added_from",
    "own": "models.own",
    "deleted": "models.deleted",
}


def models_view(
    entries: Sequence[Entry], process: int, admin: bool, loading: str = "", words: Words = ENGLISH
) -> Markup:
    """A line about memory, then the checkpoints, those in memory first.

    Args:
        entries: what is installed and what is in memory.
        process: bytes of memory this process has in use.
        admin: whether the reader may load and unload, and see folders.
        loading: the name of one that is being loaded.
        words: the texts of the reader's language.
    """
    held = sum(entry.memory is not None for entry in entries)
    line = words.count("models.memory", held, size=bytes_text(process))
    ordered = sorted(entries, key=lambda entry: entry.memory is None)
    cards = [_card(entry, admin, entry.name == loading, words) for entry in ordered]
    if not entries:
        cards = [element("p", words("models.none"), class_="sd-hint")]
    return element("div", element("p", line, class_="sd-hint", role="status"), *cards, class_="sd-models")


def offer_view(offer: Offer, words: Words = ENGLISH) -> Markup:
    """What would be added, and how much of it."""
    record = offer.record
    facts = [
        _fact(words("models.kind"), _kind(record.task, record.models)),
        _fact(words("models.size"), words.count("models.files", len(offer.files), size=bytes_text(offer.nbytes))),
    ]
    parts = [element("p", element("b", offer.place)), element("dl", *facts, class_="sd-records")]
    if record.summary:
        parts.insert(1, element("p", record.summary))
    return element("div", *parts, class_="sd-offered")


def _card(entry: Entry, admin: bool, loading: bool, words: Words) -> Markup:
    record = entry.record
    kind = _kind(record.task, record.models) if record is not None else ""
    title = element("h3", entry.name, element("span", kind))
    problem = record.problem if record is not None else ""
    parts = [element("header", title, _state(entry, problem, loading, words))]
    if record is not None and record.summary:
        parts.append(element("p", record.summary))
    if problem:
        parts.append(element("p", problem, class_="sd-notice sd-error", role="alert"))
    if entry.origin == "deleted":
        parts.append(element("p", words("models.deleted_more"), class_="sd-notice sd-error", role="alert"))
    parts.append(element("dl", *_facts(entry, admin, words), class_="sd-records"))
    if entry.memory is not None and entry.memory.changed:
        parts.append(element("p", words("models.changed"), class_="sd-notice sd-error", role="alert"))
    if record is not None:
        body = element("div", class_="sd-card-body")
        parts.append(element("details", element("summary", words("models.card")), body, class_="sd-model-card"))
    if admin and not problem and not loading:
        parts.append(_buttons(entry, words))
    return element("article", *parts, class_="sd-card sd-checkpoint", data_name=entry.name)


def _state(entry: Entry, problem: str, loading: bool, words: Words) -> Markup:
    if problem:
        return element("span", words("models.broken"), class_="sd-health sd-failed")
    if loading:
        return element("span", words("models.loading"), class_="sd-health sd-warning", role="status")
    if entry.memory is None:
        return element("span", words("models.not_loaded"), class_="sd-health sd-off")
    idle = entry.memory.idle
    if idle is None:
        return element("span", words("models.in_use_now"), class_="sd-health")
    minutes = int(idle // 60)
    text = words.count("models.idle_for", minutes) if minutes else words("models.loaded")
    return element("span", text, class_="sd-health")


def _buttons(entry: Entry, words: Words) -> Markup:
    verb = "load" if entry.memory is None else "unload"
    text, name = ("models.load", "models.load_name") if verb == "load" else ("models.unload", "models.unload_name")
    busy = entry.memory is not None and entry.memory.idle is None
    button = element(
        "button",
        words(text),
        type="button",
        class_="sd-action",
        data_do=verb,
        disabled=busy,
        aria_label=words(name, name=entry.name),
    )
    return element("div", button, class_="sd-card-actions")


def _facts(entry: Entry, admin: bool, words: Words) -> list[Markup]:
    record, facts = entry.record, []
    if record is not None and record.nbytes:
        facts.append(_fact(words("models.size"), words("models.on_disk", size=bytes_text(record.nbytes))))
    if entry.parameters is not None:
        facts.append(_fact(words("models.parameters"), f"{entry.parameters:,}"))
    facts.append(_fact(words("models.origin"), words(_ORIGINS[entry.origin], place=entry.place)))
    if admin and record is not None and entry.origin != "shipped":
        facts.append(_fact(words("models.folder"), str(record.folder)))
    if entry.memory is not None:
        facts += _memory(entry.memory, words)
    return facts


def _memory(memory: Memory, words: Words) -> list[Markup]:
    why = words("models.why_gpu", name=memory.gpu) if memory.gpu else words("models.why_cpu")
    facts = [_fact(words("models.device"), words("models.because", what=memory.device, why=why))]
    if memory.precision:
        facts.append(_fact(words("models.precision"), memory.why))
    taken = words("models.weights", size=bytes_text(memory.weights))
    if memory.state:
        taken = words("models.with_state", weights=taken, size=bytes_text(memory.state))
    facts.append(_fact(words("models.takes"), taken))
    return facts


def _kind(task: str, models: Sequence[str]) -> str:
    return " · ".join(part for part in (task, ", ".join(dict.fromkeys(models))) if part)


def _fact(name: str, value: str) -> Markup:
    return element("div", element("dt", name), element("dd", join(value)))
