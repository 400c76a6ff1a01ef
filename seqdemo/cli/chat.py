"""``chat``: a conversation in the terminal."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from seqdemo.errors import CheckpointError, SeqdemoError, SessionError
from seqdemo.plugin.events import Done, Token

from .generate import usage_text
from .listing import size_text
from .loading import PredictionCommand, given_options, load, loading, precise

if TYPE_CHECKING:
    from seqdemo import Pipeline, Session
    from seqdemo.decoding import Reply

__all__ = ["Chat", "chat"]


class Chat:
    """Reads lines, streams replies, obeys commands that start with ``/``.

    Args:
        pipe: what to talk with.
        options: for every reply.
    """

    def __init__(self, pipe: Pipeline, options: dict[str, Any]) -> None:
        self._pipe = pipe
        self._branches: list[Session] = [pipe.session(**options)]
        self._at = 0
        self._commands: dict[str, tuple[Callable[[str], None], str]] = {
            "regenerate": (self._regenerate, "another reply to the last message"),
            "undo": (self._undo, "take back the last message and its reply"),
            "fork": (self._fork, "go on in a copy of the conversation"),
            "branch": (self._branch, "N: go to branch N; without N, list branches"),
            "save": (self._save, "FILE: save the conversation with its state"),
            "load": (self._load, "FILE: go on with a saved conversation"),
            "state": (self._state, "what the conversation's state holds"),
            "help": (self._help, "this list"),
            "quit": (self._quit, "leave (or Ctrl-D)"),
        }

    @property
    def session(self) -> Session:
        """The conversation in use."""
        return self._branches[self._at]

    def run(self) -> None:
        """Talk until the end of the input."""
        interactive = sys.stdin.isatty()
        if interactive:
            import readline  # noqa: F401 - arrow keys and history for input()

            click.echo(f"{self._pipe!r}\nCtrl-C stops a reply, /help lists commands, Ctrl-D leaves.")
        while True:
            try:
                line = input("> " if interactive else "")
            except EOFError:
                return
            except KeyboardInterrupt:
                click.echo("\nCtrl-D or /quit leaves.")
                continue
            try:
                self.obey(line)
            except SeqdemoError as error:
                click.echo(f"Error: {error}", err=True)
            except _Leave:
                return

    def obey(self, line: str) -> None:
        """Answer one line of input: a message, or a command; ``//`` begins a message with a slash.

        Raises:
            SeqdemoError: it cannot be done; the conversation is as it was.
        """
        if not line.startswith("/") or line.startswith("//"):
            if line:
                self._show(self.session.stream(line.removeprefix("/")))
            return
        name, _, argument = line[1:].strip().partition(" ")
        if name not in self._commands:
            raise SessionError(f"There is no command /{name}. Available: /{', /'.join(self._commands)}.")
        self._commands[name][0](argument.strip())

    def _show(self, reply: Reply) -> None:
        """Print a reply as it comes. Ctrl-C stops the work behind it and keeps what is there."""
        shown = 0
        with _ctrl_c() as pressed:
            for event in reply:
                if isinstance(event, (Token, Done)):
                    click.echo(event.text, nl=False)
                    shown += len(event.text)
                if pressed.is_set():
                    break
            reply.close()
            whole = reply.generation()
        click.echo(whole.text[shown:])
        stopped = ", stopped" if whole.done.reason == "cancelled" else ""
        click.secho(f"[{usage_text(whole.done)}{stopped}]", dim=True)

    def _regenerate(self, _: str) -> None:
        self._show(self.session.stream_regenerate())

    def _undo(self, _: str) -> None:
        self.session.undo()
        click.echo("Took back the last message and its reply.")

    def _fork(self, _: str) -> None:
        self._branches.append(self.session.fork())
        before, self._at = self._at, len(self._branches) - 1
        click.echo(f"This is branch {self._at + 1} now; /branch {before + 1} goes back.")

    def _branch(self, number: str) -> None:
        count = len(self._branches)
        if number:
            if not (number.isdecimal() and 1 <= int(number) <= count):
                raise SessionError(f"There is no branch {number!r}. Available: 1 to {count}.")
            self._at = int(number) - 1
        click.echo(f"Branch {self._at + 1} of {count}.")

    def _save(self, name: str) -> None:
        if not name:
            raise SessionError("Name a file: /save FILE.")
        place = Path(name).expanduser()
        self.session.save(place)
        click.echo(f"Saved to {place}.")

    def _load(self, name: str) -> None:
        if not name:
            raise SessionError("Name a file: /load FILE.")
        self._branches.append(self._pipe.load_session(Path(name).expanduser()))
        self._at = len(self._branches) - 1
        for message in self.session.messages:
            click.echo(f"{'> ' if message.role == 'user' else ''}{message.text}")

    def _state(self, _: str) -> None:
        session = self.session
        click.echo(f"{size_text(session.state_bytes)} after {session.tokens_read:,} tokens; it stays that size.")

    def _help(self, _: str) -> None:
        for name, (_function, what) in self._commands.items():
            click.echo(f"/{name:<12}{what}")

    def _quit(self, _: str) -> None:
        raise _Leave


@contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """Inside, the first Ctrl-C sets the event and interrupts nothing; a second one interrupts as usual.

    An exception raised between reading an event and recording it would tear the session from its state.
    """
    pressed = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


class _Leave(Exception):  # noqa: N818 - not an error
    """The user wants to leave."""


def _first_generator() -> str:
    import seqdemo

    for record in seqdemo.available("checkpoints"):
        if record.task == "generation" and not record.problem:
            return record.name
    raise CheckpointError("There is no checkpoint to talk with. `seqdemo train generation` makes one.")


@click.command(cls=PredictionCommand)
@click.argument("checkpoint", required=False)
@loading
@precise
def chat(checkpoint: str | None, device: str, dtype: str | None, offline: bool, precision: str, **params: Any) -> None:
    """Talk with CHECKPOINT, a name, folder or hub id; without one, with the first generator there is."""
    name = checkpoint or _first_generator()
    pipe = load(name, device, dtype, offline, precision)
    Chat(pipe, given_options(name, params)).run()
