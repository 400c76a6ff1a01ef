"""Folders as the models' own library saves them, and a home of its own for every test."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tiny import FAMILIES, TEMPLATE, lively, tokenizer


@pytest.fixture(scope="session")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Folders in the format of the hub; each is made once, do not change them."""
    made: dict[tuple[Any, ...], Path] = {}

    def make(family: str, kind: str = "byte-level", template: bool = False, spare: int = 0) -> Path:
        key = (family, kind, template, spare)
        if key not in made:
            folder = tmp_path_factory.mktemp(family)
            name, given = FAMILIES[family]
            chosen = tokenizer(kind)
            model_class = getattr(transformers, name)
            torch.manual_seed(1)
            config = model_class.config_class(**{**given, "vocab_size": len(chosen) + spare})
            lively(model_class(config)).save_pretrained(folder)
            chosen.chat_template = TEMPLATE if template else None
            chosen.save_pretrained(folder)
            chosen.chat_template = None
            made[key] = folder
        return made[key]

    return make


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    """Each family."""
    return str(request.param)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees or touches the user's own data."""
    monkeypatch.setenv("SEQDEMO_HOME", str(tmp_path / "home"))
