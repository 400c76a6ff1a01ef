"""Styles and scripts of the page, shipped with the package: nothing is loaded from anywhere else."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["asset"]


def asset(name: str) -> str:
    """The text of one of the files in this folder."""
    return files(__name__).joinpath(name).read_text("utf-8")
