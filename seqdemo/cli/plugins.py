"""``plugins``: what there is and what went wrong with it; a new plugin from a template; the conformance checks."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from seqdemo.manager import PluginInfo, manager
from seqdemo.scaffold import SUMMARIES, write_plugin

from .listing import json_option, print_json, print_table

if TYPE_CHECKING:
    from seqdemo.testing import Outcome, Report

__all__ = ["plugins"]


def _brings(info: PluginInfo) -> str:
    return ", ".join(f"{kind}: {' '.join(names)}" for kind, names in info.records.items() if names) or "nothing"


def _plugin_json(info: PluginInfo) -> dict[str, Any]:
    return {**asdict(info), "health": info.health}


def _print_problems(found: Sequence[PluginInfo], tracebacks: bool) -> None:
    for info in found:
        for problem in info.problems:
            click.echo(f"{info.name}: {problem.severity} ({problem.phase}): {problem.message}")
            if tracebacks and problem.traceback:
                click.echo("".join(f"    {line}" for line in problem.traceback.splitlines(keepends=True)))
    if not tracebacks and any(problem.traceback for info in found for problem in info.problems):
        click.echo("`seqdemo plugins --tracebacks` shows where.")


@click.group(invoke_without_command=True)
@json_option
@click.option("--tracebacks", is_flag=True, help="Show the whole traceback of each problem.")
@click.option("--strict", is_flag=True, help="Load every config too, and exit with status 1 when anything failed.")
@click.option("--check", is_flag=True, help="Load every config and every implementation too. This takes a while.")
@click.pass_context
def plugins(ctx: click.Context, as_json: bool, tracebacks: bool, strict: bool, check: bool) -> int:
    """List plugins, what each brings, and what went wrong with it."""
    if ctx.invoked_subcommand is not None:
        if as_json or tracebacks or strict or check:
            raise click.UsageError(
                "--json, --tracebacks, --strict and --check here are for the list, which is printed without a command. "
                f"Options of {ctx.invoked_subcommand!r} come after it.",
                ctx,
            )
        return 0
    if strict or check:
        manager().check(implementations=check)
    found = manager().plugins()
    if as_json:
        print_json([_plugin_json(info) for info in found])
    else:
        rows = [
            (info.name, f"{info.distribution} {info.version}".strip(), info.health, _brings(info), info.source)
            for info in found
        ]
        print_table(("plugin", "distribution", "health", "brings", "found in"), rows, "There are no plugins.")
        _print_problems(found, tracebacks)
    return 1 if strict and any(info.health == "failed" for info in found) else 0


@plugins.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(list(SUMMARIES)), required=True, help="What the plugin brings.")
@click.option("--into", metavar="DIR", default=".", help="Where its folder is made.  [default: here]")
def new(name: str, kind: str, into: str) -> None:
    """Write a plugin called NAME: a distribution that installs, trains, chats and passes its tests as it is."""
    written = write_plugin(name, kind, into)
    click.echo(f"Wrote {written.folder}: {', '.join(written.files)}.")
    click.echo("Next:")
    for command in written.next:
        click.echo(f"  {command}")


@contextmanager
def _progress() -> Iterator[Callable[[Outcome], None]]:
    """Show on standard error, where that is a terminal, which check has just ended."""
    from rich.console import Console

    console = Console(file=sys.stderr)
    done: Counter[str] = Counter()
    with console.status("Checking") as status:

        def heard(outcome: Outcome) -> None:
            done[outcome.status] += 1
            status.update(f"{outcome.subject}: {sum(done.values())} checks, {done['failed']} failed")

        yield heard


def _print_report(report: Report) -> None:
    """A table of all checks, then the failures in full, then the counts."""
    rows, before = [], ""
    for outcome in report.outcomes:
        remark = "see below" if outcome.status == "failed" else outcome.message.partition("\n")[0]
        what = "" if outcome.subject == before else outcome.subject
        before = outcome.subject
        rows.append((what, outcome.check, outcome.status.replace("_", " "), remark))
    print_table(("what", "check", "came out", "remark"), rows, "It brings nothing to check.")
    for outcome in report.failures:
        click.echo(f"\n{outcome.subject}: {outcome.check}: {outcome.message}")
    counts = Counter(outcome.status.replace("_", " ") for outcome in report.outcomes)
    click.echo(f"\n{', '.join(f'{count} {status}' for status, count in counts.items()) or 'Nothing was checked'}.")


@plugins.command("check")
@click.argument("name")
@json_option
def check_one(name: str, as_json: bool) -> int:
    """Put everything that the plugin NAME brings through the conformance checks.

    Exit status: 0 all passed, 1 a check failed, 2 there is no such plugin.
    """
    from seqdemo.testing import check_plugin

    with _progress() as heard:
        report = check_plugin(name, heard)
    if as_json:
        print_json(report.as_json())
    else:
        _print_report(report)
    return 0 if report.ok else 1
