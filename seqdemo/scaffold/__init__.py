"""``seqdemo plugins new``: a complete plugin distribution, written from templates. Imports no torch.

The templates are the files under ``templates``: those of ``common``, then those of the kind. ``PACKAGE`` in a path and
``$name`` in a text stand for what a name gives.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from seqdemo.errors import ConfigError, UnknownNameError
from seqdemo.files import write_folder
from seqdemo.manager import manager
from seqdemo.plugin import CONTRACT
from seqdemo.version import installed_version

__all__ = ["SUMMARIES", "Written", "write_plugin"]

SUMMARIES = {
    "model": "An update-gate recurrent network.",
    "tokenizer": "Bytes and the commonest pieces of words; lossless.",
    "task": "A language model with a cache of what it has just read.",
}
"""What each kind of template is, by kind."""

_FLAGS = {"model": "generation --model {name}", "tokenizer": "generation --tokenizer {name}", "task": "{name}"}
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 40
_SUFFIX = ".template"


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes:
        folder: of the distribution.
        files: paths in it, sorted.
        next: commands that install it, test it, train with it and talk with the result, to be run one after another.
    """

    folder: Path
    files: tuple[str, ...]
    next: tuple[str, ...]


def _check_name(name: str, kind: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        offer = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")[:_LONGEST].strip("-")
        hint = f" Try {offer!r}." if _NAME.fullmatch(offer) else ""
        raise ConfigError(
            f"{name!r} cannot be a plugin's name: it takes lower-case letters and digits, words joined by '-', a "
            f"letter first, at most {_LONGEST} characters.{hint}"
        )
    if name.startswith("seqdemo-") or name == "seqdemo":
        raise ConfigError(
            f"{name!r} would become the distribution 'seqdemo-{name}'. Leave the prefix out: it is added to every name."
        )
    if name not in manager().records(f"{kind}s"):
        return
    owner = manager().get(f"{kind}s", name)
    if owner.version or owner.distribution == "seqdemo":  # a plugin in a folder may be what is now made a package
        raise ConfigError(
            f"There is a {kind} named {name!r} already, from {owner.distribution}. Choose another name, or uninstall "
            "that plugin."
        )


def _templates(folder: Traversable, path: str = "") -> Iterator[tuple[str, str]]:
    """Path, without the suffix, and text of every template in a folder."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _templates(entry, f"{path}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            yield path + entry.name.removesuffix(_SUFFIX), entry.read_text("utf-8")


def _values(name: str, kind: str) -> dict[str, str]:
    version = installed_version()
    train = (
        f"seqdemo train {_FLAGS[kind].format(name=name)} --data tests/text.txt --out runs/first "
        "--steps 200 --window 32 --batch-size 16"
    )
    return {
        "name": name,
        "distribution": f"seqdemo-{name}",
        "package": f"seqdemo_{name.replace('-', '_')}",
        "stem": "".join(word.capitalize() for word in name.split("-")),
        "summary": SUMMARIES[kind],
        "contract": ".".join(map(str, CONTRACT)),
        "requirement": "seqdemo" if version.startswith("0+") else f"seqdemo>={version}",
        "commands": f"seqdemo plugins check {name}\n{train}\nseqdemo chat runs/first",
    }


def write_plugin(name: str, kind: str, into: str | Path = ".") -> Written:
    """Write the distribution ``seqdemo-NAME`` into a folder: all of it, or nothing.

    It announces one model, tokenizer or task under ``name``, and is complete: it installs, trains, chats and passes
    its own tests as written.

    Args:
        name: lower-case words joined by ``-``.
        kind: ``"model"``, ``"tokenizer"`` or ``"task"``.
        into: where the distribution's folder is made; created where it does not exist.

    Raises:
        UnknownNameError: no such kind.
        ConfigError: the name cannot be used, or the folder exists.
        SeqdemoError: the place cannot be written.
    """
    if kind not in SUMMARIES:
        raise UnknownNameError("kind of plugin", kind, SUMMARIES)
    _check_name(name, kind)
    values = _values(name, kind)
    folder = Path(into).expanduser() / values["distribution"]
    if folder.exists() or folder.is_symlink():
        raise ConfigError(f"{folder} exists and is left alone. Choose another name, or another folder with --into.")
    root = files(__name__) / "templates"
    texts = {
        path.replace("PACKAGE", values["package"]): Template(text).substitute(values)
        for part in ("common", kind)
        for path, text in _templates(root / part)
    }
    with write_folder(folder) as work:
        for path, text in texts.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(text, "utf-8")
    commands = (
        f"cd {shlex.quote(str(folder))}",
        'pip install -e ".[test]"',
        "pytest",
        *values["commands"].splitlines(),
    )
    return Written(folder, tuple(sorted(texts)), commands)
