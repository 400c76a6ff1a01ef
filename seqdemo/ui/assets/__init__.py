"""Styles and scripts of the page, shipped with the package: nothing is loaded from anywhere else."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["asset", "script"]


def asset(name: str) -> str:
    """The text of one of the files in this folder."""
    return files(__name__).joinpath(name).read_text("utf-8")


def script(*names: str) -> str:
    """Scripts of one component, one after another in one function, with the page's texts before them."""
    return "".join(map(asset, ("words.js", *names)))
