"""What is set on the page for the whole server, and stays set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from seqdemo.files import write_atomic

__all__ = ["Settings"]

_FILE = "page.json"


class Settings(BaseModel):
    """Attributes:
    unload_after: minutes without a request after which a model is unloaded; never where 0.
    """

    model_config = ConfigDict(frozen=True)

    unload_after: Annotated[float, Field(ge=0, le=100_000)] = 15

    @classmethod
    def read(cls, folder: Path) -> Settings:
        """Those that were written; the defaults where there are none that can be read."""
        try:
            return cls.model_validate_json((folder / _FILE).read_bytes())
        except (OSError, ValidationError):
            return cls()

    def write(self, folder: Path) -> None:
        """Keep them.

        Raises:
            SeqdemoError: the disk is full, or the place cannot be written.
        """
        write_atomic(folder / _FILE, self.model_dump_json() + "\n")
