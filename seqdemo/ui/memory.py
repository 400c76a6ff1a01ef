"""The garbage collector, while a process does nothing but serve the page.

A full collection looks at every object there is. With torch and gradio loaded that took 200 to 600 ms, in which no
reply goes on, and in a page that streams there was one every ten seconds. So what will stay for long is moved out of
its sight whenever something long-lived has come.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collect", "serving", "settle"]

_served = 0


@contextmanager
def serving() -> Iterator[None]:
    """Until the end of the block the process is the page's: what is alive when it is settled is expected to stay."""
    global _served
    _served += 1
    try:
        settle()
        yield
    finally:
        _served -= 1
        if not _served:
            gc.unfreeze()


def settle() -> None:
    """Let later collections pass over what is alive now, in a process that serves; does nothing in any other."""
    if _served:
        collect()


def collect() -> None:
    """Free what nothing refers to any more, wherever it is."""
    if not _served:
        gc.collect()
        return
    gc.unfreeze()
    gc.collect()
    gc.freeze()
