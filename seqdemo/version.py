"""The installed version of seqdemo."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["installed_version"]


def installed_version() -> str:
    """As the installed distribution says; a checkout that is not installed has none."""
    try:
        return version("seqdemo")
    except PackageNotFoundError:
        return "0+unknown"
