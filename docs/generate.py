"""Fills the generated regions of the pages in this folder from the code.

python docs/generate.py           # writes what has changed
python docs/generate.py --check   # exits with 1 and names the pages that are stale

A region begins with a line ``<!-- generated: NAME -->`` and ends with ``<!-- end -->``. What stands in it depends on
the code alone: not on installed plugins, not on the width of a terminal.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WIDTH = 100
REGION = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
SECTION = re.compile(r"(Args|Arguments|Returns|Yields|Raises|Errors|Since|Attributes|Class attributes):")

Section = tuple[str, list[str]]


# --- docstrings ---------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """Docstring markup as Markdown."""
    text = re.sub(r":(?:class|func|meth|mod|data):`~?([^`]+)`", r"`\1`", text)
    return text.replace("``", "`")


def parsed(thing: Any) -> tuple[list[str], list[Section]]:
    """Paragraphs and sections of a docstring."""
    paragraphs: list[str] = []
    sections: list[Section] = []
    lines = inspect.cleandoc(thing.__doc__ or "").splitlines()
    current: list[str] = []
    for line in [*lines, "end:"]:
        found = SECTION.fullmatch(line)
        if found or line == "end:" or (sections and line and not line.startswith(" ")):
            if sections:
                sections[-1][1].extend(current)
            else:
                paragraphs = re.split(r"\n\s*\n", "\n".join(current).strip())
            current = [] if found or line == "end:" else [line]
            if found:
                sections.append((found[1], []))
            continue
        current.append(line)
    return [paragraph for paragraph in paragraphs if paragraph], sections


def prose(paragraphs: Sequence[str]) -> Iterator[str]:
    """Paragraphs as Markdown; an indented one is code."""
    for paragraph in paragraphs:
        if paragraph.startswith(("    ", ">>>")):
            yield f"```text\n{textwrap.dedent(paragraph)}\n```\n"
        else:
            yield plain(" ".join(line.strip() for line in paragraph.splitlines())).replace("::", ":") + "\n"


def entries(lines: Iterable[str]) -> list[str]:
    """The entries of a section, each with its continuation lines."""
    found: list[str] = []
    text = textwrap.dedent("\n".join(lines))
    for line in text.splitlines():
        if line.startswith(" ") and found:
            found[-1] += f" {line.strip()}"
        elif line.strip():
            found.append(line)
    return found


def listing(name: str, lines: Iterable[str]) -> Iterator[str]:
    """One section: named entries as a list, anything else as a sentence."""
    found = entries(lines)
    if name in ("Args", "Arguments", "Attributes", "Class attributes"):
        yield f"{name.replace('Args', 'Arguments')}:\n"
        for entry in found:
            what, _, about = entry.partition(": ")
            names = ", ".join(f"`{one.strip()}`" for one in what.split(","))
            yield f"- {names}: {plain(about)}"
        yield ""
    else:
        yield f"{name}: {plain(' '.join(found))}\n"


def described(thing: Any) -> Iterator[str]:
    """A docstring as Markdown."""
    paragraphs, sections = parsed(thing)
    yield from prose(paragraphs)
    for name, lines in sections:
        yield from listing(name, lines)


# --- signatures ---------------------------------------------------------------------------------------------------


def signature(name: str, function: Any) -> str:
    """As it stands in the source, without ``self``."""
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef)
    node.args.args = [one for one in node.args.args if one.arg not in ("self", "cls")]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns is not None and node.name != "__init__" else ""
    return f"{name}({ast.unparse(node.args)}){returns}"


def class_signature(kind: type) -> str:
    """How an instance is made, where that is more than a name."""
    if is_dataclass(kind):
        shown = []
        for field in fields(kind):
            default = "" if field.default is MISSING else f" = {field.default!r}"
            shown.append(f"{field.name}: {field.type}{default}")
        return f"{kind.__name__}({', '.join(shown)})"
    if issubclass(kind, tuple):
        hints = kind.__annotations__.items()
        shown = [f"{name}: {getattr(hint, '__forward_arg__', hint)}" for name, hint in hints]
        return f"{kind.__name__}({', '.join(shown)})"
    made = vars(kind).get("__init__")
    return signature(kind.__name__, made) if inspect.isfunction(made) and made.__module__ == kind.__module__ else ""


def members(kind: type) -> Iterator[str]:
    """Public methods and properties of a class that say what they do."""
    for name, value in vars(kind).items():
        if name.startswith("_"):
            continue
        before, function = "", value
        if isinstance(value, property):
            before, function = "property ", value.fget
        elif isinstance(value, (classmethod, staticmethod)):
            before, function = f"{type(value).__name__} ", value.__func__
        if not inspect.isfunction(function) or not function.__doc__:
            continue
        shown = signature(name, function)
        if before == "property ":
            shown = shown.replace("()", "", 1)
        yield f"#### `{before}{shown}`\n"
        yield from described(function)


# --- regions ------------------------------------------------------------------------------------------------------


def hooks() -> Iterator[str]:
    """Every hook."""
    from seqdemo.plugin import hooks as module

    for name, hook in vars(module).items():
        if not hasattr(hook, f"{module.PROJECT}_spec"):
            continue
        paragraphs, sections = parsed(hook)
        found = {title: " ".join(entries(lines)) for title, lines in sections}
        called = next((paragraph for paragraph in paragraphs if paragraph.startswith("Called ")), "")
        missing = [title for title in ("Returns", "Errors", "Since") if title not in found]
        if missing or not called:
            raise SystemExit(
                f"The docstring of {name} lacks: {', '.join([*missing, *([] if called else ['Called …'])])}."
            )
        yield f"### `{signature(name, hook)}`\n"
        yield from prose([paragraph for paragraph in paragraphs if paragraph != called])
        yield "| | |\n| --- | --- |"
        rows = {"Called": called.removeprefix("Called "), "Arguments": found.get("Args", "none"), **found}
        for title in ("Called", "Arguments", "Returns", "Errors", "Since"):
            text = " ".join(rows[title].split())
            yield f"| {title.lower()} | {plain(text)} |"
        yield ""


def reference(name: str) -> Iterator[str]:
    """The public names of a module of ``seqdemo.plugin``."""
    import seqdemo.plugin as public

    module = import_module(f"seqdemo.plugin.{name}")
    whole = name in public.__all__
    for one in module.__all__:
        value = getattr(module, one)
        if (whole or one in public.__all__) and (inspect.isclass(value) or inspect.isfunction(value)):
            yield from _documented(f"{name}.{one}" if whole else one, value)


def _documented(name: str, value: Any) -> Iterator[str]:
    shown = class_signature(value) if inspect.isclass(value) else signature(name, value)
    yield f"### `{name}`\n"
    if shown:
        yield f"```text\n{shown}\n```\n"
    yield from described(value)
    if inspect.isclass(value):
        yield from members(value)


def _type(field: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in field:
        return _type(definitions[field["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_type(option, definitions) for option in field["anyOf"]))
    if "enum" in field or "const" in field:
        return ", ".join(f"`{choice}`" for choice in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}), definitions)}"
    names = {"integer": "integer", "number": "number", "boolean": "on or off", "string": "text", "null": "none"}
    return names.get(str(field.get("type")), "JSON")


def _bounds(field: Mapping[str, Any]) -> str:
    shown = []
    for option in [field, *field.get("anyOf", ())]:
        signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
        shown += [f"{sign} {option[key]:,}" for key, sign in signs.items() if key in option]
        lengths = {"minLength": "at least {} characters", "maxLength": "at most {:,} characters"}
        lengths |= {"minItems": "at least {}", "maxItems": "at most {}"}
        shown += [text.format(option[key]) for key, text in lengths.items() if key in option]
    return ", ".join(dict.fromkeys(shown))


def _default(field: Mapping[str, Any]) -> str:
    if "default" not in field:
        return "required"
    value = field["default"]
    if value is None or value == []:
        return "none"
    return (
        {True: "on", False: "off"}[value] if isinstance(value, bool) else f"`{json.dumps(value, ensure_ascii=False)}`"
    )


def table(schema: Any) -> Iterator[str]:
    """The fields of a config or options class."""
    found = schema.model_json_schema()
    if not found.get("properties"):
        yield "It has no options.\n"
        return
    yield "| option | type | default | accepted | |\n| --- | --- | --- | --- | --- |"
    for name, field in found["properties"].items():
        kind = _type(field, found.get("$defs", {}))
        about = " ".join(str(field.get("description", "")).split()).replace("|", "\\|")
        yield f"| `{name}` | {kind} | {_default(field)} | {_bounds(field)} | {about} |"
    yield ""


def options_of(kind: str) -> Callable[[], Iterator[str]]:
    """The config of every built-in part of a kind."""

    def lines() -> Iterator[str]:
        from seqdemo.manager import manager

        for record in manager().available(kind):
            yield f"### `{record.name}`\n\n{record.summary}\n"
            yield from table(manager().config_class(kind, record.name))

    return lines


def sampling() -> Iterator[str]:
    """Options of a prediction that emits tokens."""
    from seqdemo.plugin import SamplingOptions

    return table(SamplingOptions)


def training() -> Iterator[str]:
    """Options of a training run."""
    from seqdemo.training.config import TrainingConfig

    return table(TrainingConfig)


def _helps(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    import click

    from seqdemo.cli import main

    out = io.StringIO()
    with redirect_stdout(out):
        main.main([*path, "--help"], "seqdemo", standalone_mode=False, terminal_width=WIDTH)
    title = " ".join(["seqdemo", *path])
    text = "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines())
    yield f"### `{title}`\n\n```text\n{text}\n```\n"
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from _helps(command.get_command(context, name), (*path, name))


def help_texts() -> Iterator[str]:
    """``--help`` of every command."""
    from seqdemo.cli import main

    return _helps(main, ())


def checks() -> Iterator[str]:
    """The checks of the conformance kit."""
    from seqdemo.testing import describe

    kind = ""
    for check in describe():
        if check.kind != kind:
            kind = check.kind
            yield f"{'' if kind == 'model' else chr(10)}### {kind.capitalize()}s\n"
            yield "| check | what must hold | usual cause of a failure | how to mend it |\n| --- | --- | --- | --- |"
        cells = (plain(text).replace("|", "\\|") for text in (check.summary, check.cause, check.mend))
        yield f"| `{check.name}` | {' | '.join(cells)} |"
    yield ""


REGIONS: Mapping[str, Callable[[], Iterable[str]]] = {
    "hooks": hooks,
    "tokenizer-options": options_of("tokenizers"),
    "model-options": options_of("models"),
    "task-options": options_of("tasks"),
    "sampling-options": sampling,
    "training-options": training,
    "help": help_texts,
    "checks": checks,
}


def filled(text: str, regions: Mapping[str, Callable[[], Iterable[str]]] = REGIONS) -> str:
    """A page with its regions filled anew.

    ``module:NAME`` is the reference of a module of ``seqdemo.plugin``.

    Raises:
        SystemExit: a region that nothing generates.
    """

    def fill(found: re.Match[str]) -> str:
        what, _, module = found[2].partition(":")
        if what not in regions and not module:
            raise SystemExit(f"Nothing generates {what!r}. There are: {', '.join(regions)}, module:NAME.")
        content = "\n".join(reference(module) if module else regions[what]()).strip()
        return f"{found[1]}\n{content}\n\n{found[3]}"

    return REGION.sub(fill, text)


def main(arguments: Sequence[str]) -> int:
    """Write the pages, or with ``--check`` say which are stale."""
    stale = []
    for page in sorted(HERE.glob("*.md")):
        text = page.read_text("utf-8")
        now = filled(text)
        if now == text:
            continue
        stale.append(page.name)
        if "--check" not in arguments:
            page.write_text(now, "utf-8")
    said = "stale; run python docs/generate.py" if "--check" in arguments else "written"
    for name in stale:
        print(f"docs/{name}: {said}")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    os.environ["SEQDEMO_LOAD_PLUGINS"] = ""  # built-ins only
    os.environ.pop("SEQDEMO_PLUGINS", None)
    sys.exit(main(sys.argv[1:]))
