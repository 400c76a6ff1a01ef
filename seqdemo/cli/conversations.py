"""``conversations``: those kept here, the page's included: list them, take one along, bring one, delete one."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from seqdemo.errors import SessionError
from seqdemo.store import Conversations, Summary, opened

from .listing import json_option, print_json, print_table
from .loading import load, loading

__all__ = ["conversations"]

_OWN = "local"
"""Whose the conversations of the SDK and of this command are; those of the page belong to a browser or a login."""


def _all(query: str = "") -> list[tuple[str, Summary]]:
    """Every owner's, with the owner."""
    kept = Conversations(opened())
    return [(owner, summary) for owner in kept.owners() for summary in kept.summaries(owner, query)]


def _find(start: str) -> tuple[str, Summary]:
    """The one conversation whose id begins so.

    Raises:
        SessionError: there is none, or several.
    """
    found = [(owner, summary) for owner, summary in _all() if summary.id.startswith(start)]
    if len(found) == 1:
        return found[0]
    what = "No conversation's id begins" if not found else f"The ids of {len(found)} conversations begin"
    raise SessionError(f"{what} with {start!r}. `seqdemo conversations` lists them; give more of the one you mean.")


@click.group(invoke_without_command=True)
@json_option
@click.option("--search", "query", default="", help="Only those that hold every one of these words.")
@click.pass_context
def conversations(ctx: click.Context, as_json: bool, query: str) -> None:
    """List conversations kept on this machine, the last changed first."""
    if ctx.invoked_subcommand is not None:
        return
    found = sorted(_all(query), key=lambda one: one[1].changed, reverse=True)
    if as_json:
        print_json([{**asdict(summary), "owner": owner} for owner, summary in found])
        return
    rows = [
        (
            summary.id[:8],
            summary.title,
            summary.checkpoint,
            str(summary.messages),
            datetime.fromtimestamp(summary.changed).strftime("%Y-%m-%d %H:%M"),
            "here" if owner == _OWN else "the page",
        )
        for owner, summary in found
    ]
    nothing = "There are no conversations." if not query else f"No conversation holds {query!r}."
    print_table(("id", "title", "with", "messages", "changed", "from"), rows, nothing)


@conversations.command()
@click.argument("conversation")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--checkpoint", help="The checkpoint it was held with, where its name is another now.")
@loading
def export(
    conversation: str, file: Path, checkpoint: str | None, device: str, dtype: str | None, offline: bool
) -> None:
    """Write CONVERSATION, by id or its beginning, into FILE, with the state it stands in."""
    from seqdemo.library import Library

    owner, summary = _find(conversation)
    pipe = load(checkpoint or summary.checkpoint, device, dtype, offline)
    Library(opened(), owner).export(pipe, summary.id, file)
    click.echo(f"Wrote {file}: {summary.title!r}, {summary.messages} messages.")


@conversations.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("checkpoint")
@click.option("--title", default="", help="What to call it.  [default: its first message]")
@loading
def import_(file: Path, checkpoint: str, title: str, device: str, dtype: str | None, offline: bool) -> None:
    """Keep the conversation in FILE, which was held with CHECKPOINT; the page, `chat` and the SDK write such files."""
    from seqdemo.library import Library

    pipe = load(checkpoint, device, dtype, offline)
    session = Library(opened(), _OWN).bring(pipe, file, title)
    click.echo(f"Kept as {session.id[:8]}: {len(session.messages)} messages.")


@conversations.command()
@click.argument("conversation")
@click.option("--for-good", is_flag=True, help="Remove text and states from the disk. There is no way back.")
def delete(conversation: str, for_good: bool) -> None:
    """Hide CONVERSATION, by id or its beginning; the page's list of deleted ones brings its own back."""
    owner, summary = _find(conversation)
    if for_good:
        from seqdemo.library import Library

        Library(opened(), owner).purge(summary.id)
    else:
        Conversations(opened()).delete(owner, summary.id)
    click.echo(f"{'Removed' if for_good else 'Hid'} {summary.title!r}.")
