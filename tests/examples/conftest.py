"""Scripts of the examples as modules."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "checkpoints"


@contextmanager
def _loaded(*names: str) -> Iterator[dict[str, ModuleType]]:
    sys.path.insert(0, str(FOLDER))
    found = {}
    try:
        for name in names:
            spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
            assert spec is not None
            assert spec.loader is not None
            found[name] = sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(found[name])
        yield found
    finally:
        sys.path.remove(str(FOLDER))
        for name in found:
            del sys.modules[name]


@pytest.fixture(scope="session")
def checkpoint_scripts() -> Callable[..., AbstractContextManager[dict[str, ModuleType]]]:
    """Loads scripts by name, in order; they import one another as they do when run."""
    return _loaded
