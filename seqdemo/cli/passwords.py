"""``passwords``: who may log in to the page that is served with ``--auth``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from seqdemo.passwords import SHORTEST, Passwords

from .listing import json_option, print_json, print_table

__all__ = ["passwords"]

_file = click.option(
    "--file", "path", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="[default: in SEQDEMO_HOME]"
)


def _kept(path: Path | None) -> Passwords:
    from seqdemo.files import home

    return Passwords(path or home() / "passwords.json")


@click.group()
def passwords() -> None:
    """Say who may log in to the page: `seqdemo --auth FILE`."""


@passwords.command()
@click.argument("name")
@click.option("--admin", is_flag=True, help="May add, load and unload models, scan for plugins, and read tracebacks.")
@_file
def add(name: str, admin: bool, path: Path | None) -> None:
    """Let NAME in, or change the password. It is asked for; without a terminal, it is a line of standard input."""
    if sys.stdin.isatty():
        given = click.prompt(f"Password ({SHORTEST} characters or more)", hide_input=True, confirmation_prompt=True)
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    kept = _kept(path)
    new = kept.add(name, given, admin)
    click.echo(f"{'Added' if new else 'Changed'} {name}{', an admin' if admin else ''}.")
    click.echo(f"Serve the page with: seqdemo --auth {kept.path}")


@passwords.command()
@click.argument("name")
@_file
def remove(name: str, path: Path | None) -> None:
    """Let NAME in no longer. Whoever is in stays until the page is served again."""
    _kept(path).remove(name)
    click.echo(f"Removed {name}.")


@passwords.command("list")
@_file
@json_option
def show(path: Path | None, as_json: bool) -> None:
    """List names, and who is an admin."""
    found = _kept(path).logins()
    if as_json:
        print_json([{"name": name, "admin": login.admin} for name, login in found.items()])
    else:
        rows = [(name, "admin" if login.admin else "") for name, login in found.items()]
        print_table(("name", ""), rows, "Nobody may log in yet.")
