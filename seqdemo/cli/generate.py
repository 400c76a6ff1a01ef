"""``generate`` and ``score``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from seqdemo.plugin.config import BeamOptions
from seqdemo.plugin.events import Done, Prefill, Token

from .listing import size_text
from .loading import PredictionCommand, given_options, load, loading, precise, read_text

if TYPE_CHECKING:
    from seqdemo.plugin.events import Event
    from seqdemo.plugin.results import Hypothesis

__all__ = ["event_json", "generate", "ranked", "score", "usage_text"]


def event_json(event: Event) -> str:
    """An event as one JSON line: its fields, and ``event``: ``"prefill"``, ``"token"`` or ``"done"``."""
    return json.dumps({"event": type(event).__name__.lower(), **asdict(event)}, ensure_ascii=False)


def usage_text(done: Done) -> str:
    """What a stream cost, in a line: tokens, tokens a second, bytes of state."""
    usage = done.usage
    parts = [f"{usage.tokens:,} tokens", f"{usage.tokens_per_second:,.0f} tokens/s"]
    parts.append(f"state {size_text(usage.state_bytes)}")
    return ", ".join(parts)


@click.command(cls=PredictionCommand)
@click.argument("checkpoint")
@click.argument("prompt")
@loading
@precise
@click.option(
    "--stats",
    is_flag=True,
    help="Afterwards, say on stderr what it cost, why it ended, the seed, and what made the tokens.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON as it happens.")
def generate(
    checkpoint: str,
    prompt: str,
    device: str,
    dtype: str | None,
    offline: bool,
    precision: str,
    stats: bool,
    as_json: bool,
    **params: Any,
) -> None:
    """Continue PROMPT with CHECKPOINT, a name, folder or hub id. The text is printed as it comes.

    A PROMPT of - is read from standard input. What a beam finds is printed once it is found; with --n-best each text
    with its score, the best first.
    """
    text = read_text(prompt)
    pipe = load(checkpoint, device, dtype, offline, precision)
    given = given_options(checkpoint, params)
    options = pipe.options(given)
    if isinstance(options, BeamOptions) and options.beam_size > 1:
        click.echo(_searched(pipe.predict(text, **given), as_json, options.n_best))
        return
    stream = pipe.stream(text, **given)
    try:
        for event in stream:
            if as_json:
                click.echo(event_json(event))
            elif isinstance(event, (Token, Done)):
                click.echo(event.text, nl=False)
            if isinstance(event, Done):
                if not as_json:
                    click.echo()
                if stats:
                    click.echo(f"{usage_text(event)}, ended by {event.reason}, seed {event.seed}", err=True)
                    click.echo(pipe.stepper.description, err=True)
            elif isinstance(event, Prefill):
                continue
    finally:
        stream.close()


def _searched(found: Any, as_json: bool, several: int) -> str:
    """A result of a search, to be printed."""
    if as_json:
        return json.dumps(asdict(found), ensure_ascii=False)
    listed = getattr(found, "alternatives", ())[:several] if several > 1 else ()
    return ranked(listed) or str(found)


def ranked(hypotheses: Sequence[Hypothesis]) -> str:
    """Texts that a search found, each with its score."""
    return "\n".join(f"{one.score:9.4f}  {one.text}" for one in hypotheses)


@click.command()
@click.argument("checkpoint")
@click.argument("text", default="-")
@loading
@click.option("--tokens", "per_token", is_flag=True, help="Show each token's log-probability too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def score(
    checkpoint: str, text: str, device: str, dtype: str | None, offline: bool, per_token: bool, as_json: bool
) -> None:
    """Say how well CHECKPOINT predicts TEXT; without TEXT, or with -, standard input.

    Bits per character and per byte can be compared across tokenizers, perplexity cannot.
    """
    content = read_text(text)
    found = load(checkpoint, device, dtype, offline).score(content)
    figures = {
        "tokens": len(found.ids),
        "loss": found.loss,
        "perplexity": found.perplexity,
        "bits_per_character": found.bits_per_character,
        "bits_per_byte": found.bits_per_byte,
    }
    rows = list(zip(found.ids, found.tokens, found.logprobs, strict=True))
    if as_json:
        each = [{"id": i, "text": piece, "logprob": logprob} for i, piece, logprob in rows]
        click.echo(json.dumps({**figures, **({"per_token": each} if per_token else {})}, ensure_ascii=False))
        return
    if per_token:
        for _, piece, logprob in rows:
            click.echo(f"{logprob:10.4f}  {math.exp(logprob):8.4f}  {piece!r}")
    for name, value in figures.items():
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
        click.echo(f"{name.replace('_', ' '):<20}{shown}")
