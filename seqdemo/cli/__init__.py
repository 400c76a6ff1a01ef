"""The command line. Commands are imported when they run, so that ``--help`` and listings stay light."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from seqdemo.errors import SeqdemoError

__all__ = ["LazyGroup", "main"]

_COMMANDS = {
    "chat": ("seqdemo.cli.chat:chat", "Talk with a generator in the terminal."),
    "generate": ("seqdemo.cli.generate:generate", "Continue a prompt."),
    "predict": ("seqdemo.cli.predict:predict", "Say what a checkpoint makes of texts: their sentiment, say."),
    "score": ("seqdemo.cli.generate:score", "Say how well a model predicts a text."),
    "train": ("seqdemo.cli.training:train", "Train a checkpoint on your data."),
    "eval": ("seqdemo.cli.training:evaluate", "Measure a checkpoint on data files."),
    "bench": ("seqdemo.cli.bench:bench", "Measure how fast a checkpoint generates here."),
    "conversations": (
        "seqdemo.cli.conversations:conversations",
        "List conversations that are kept; export, import or delete one.",
    ),
    "checkpoints": ("seqdemo.cli.listing:checkpoints", "List checkpoints that load by name."),
    "models": ("seqdemo.cli.listing:models", "List recurrent models."),
    "tokenizers": ("seqdemo.cli.listing:tokenizers", "List tokenizers."),
    "tasks": ("seqdemo.cli.listing:tasks", "List tasks."),
    "passwords": ("seqdemo.cli.passwords:passwords", "Say who may log in to the page."),
    "plugins": ("seqdemo.cli.plugins:plugins", "List plugins and what went wrong; write a new one; check one."),
}


def _stop(message: str, status: int) -> NoReturn:
    click.echo(f"Error: {' '.join(message.split())}", err=True)
    sys.exit(status)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run, and the one place where errors become a line.

    Exit status: 0 success, 1 a check failed, 2 something the user can put right, 130 Ctrl-C.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        arguments = None if args is None else list(args)
        if not standalone_mode:
            return super().main(arguments, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            status = super().main(arguments, prog_name, complete_var, standalone_mode=False, **extra)
        except SeqdemoError as error:
            _stop(str(error), 2)
        except click.UsageError as error:
            hint = f" Try '{error.ctx.command_path} --help'." if error.ctx is not None else ""
            _stop(f"{error.format_message()}{hint}", 2)
        except click.ClickException as error:
            _stop(error.format_message(), 2)
        except click.Abort:
            sys.exit(130)
        sys.exit(status if isinstance(status, int) else 0)


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(message="%(prog)s %(version)s")
@click.option(
    "--plugins",
    "folders",
    metavar="DIR",
    multiple=True,
    type=click.Path(exists=True),
    help="Load the plugins in this folder too. Their code runs. May be repeated.",
)
@click.option(
    "--checkpoints",
    metavar="DIR",
    multiple=True,
    type=click.Path(exists=True, file_okay=False),
    help="Offer this checkpoint, or those in this folder, by name too. May be repeated.",
)
@click.option("--host", help="Address the page listens on.  [default: GRADIO_SERVER_NAME, or 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port the page listens on.  [default: GRADIO_SERVER_PORT, or the first free one from 7860]",
)
@click.option(
    "--auth",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False),
    help="Let nobody use the page without a login from this file. `seqdemo passwords add` makes it.",
)
@click.option("--no-browser", is_flag=True, help="Do not open the page in a browser.")
@click.pass_context
def main(
    ctx: click.Context,
    folders: tuple[str, ...],
    checkpoints: tuple[str, ...],
    host: str | None,
    port: int | None,
    auth: str | None,
    no_browser: bool,
) -> None:
    """Train recurrent sequence models, talk with them, and look inside.

    Without a command, opens the page.
    """
    if folders:
        from seqdemo.manager import configure

        configure(folders)
    if checkpoints:
        from seqdemo import pretrained

        pretrained.configure(checkpoints)
    if ctx.invoked_subcommand is None:
        _open_page(host, port, not no_browser, auth)
    elif host is not None or port is not None or auth is not None or no_browser:
        raise click.UsageError(
            "--host, --port, --auth and --no-browser are for the page, which opens without a command.", ctx
        )


def _open_page(host: str | None, port: int | None, open_browser: bool, auth: str | None) -> None:
    named = os.environ.get("GRADIO_SERVER_PORT", "")
    if port is None and named:
        if not (named.isdecimal() and 1 <= int(named) <= 65535):
            raise click.UsageError(f"GRADIO_SERVER_PORT is {named!r}, expected a port from 1 to 65535.")
        port = int(named)
    from seqdemo.ui import launch

    launch(host or os.environ.get("GRADIO_SERVER_NAME") or None, port, open_browser, auth=auth)
