"""Which tab a checkpoint belongs to follows from its task's config, without torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import ClassVar

from seqdemo.plugin import Classification, Column, Result, SamplingOptions, TaskConfig
from seqdemo.ui.kinds import kind_of, kinds, talks, text_column
from seqdemo.ui.source import Sdk


@dataclass(frozen=True, slots=True)
class Stars(Classification):
    stars: int = 0


@dataclass(frozen=True, slots=True)
class WeatherForecast(Result):
    series: tuple[float, ...]


class StarsConfig(TaskConfig):
    result: ClassVar[type[Result]] = Stars


class ForecastConfig(TaskConfig):
    result: ClassVar[type[Result]] = WeatherForecast
    columns: ClassVar[tuple[Column, ...]] = (Column("series", kind="series"),)


class SilentConfig(TaskConfig):
    pass


class TalkingConfig(TaskConfig):
    options: ClassVar[type[SamplingOptions]] = SamplingOptions


def test_built_in_tasks_have_their_tabs() -> None:
    """Classifiers and translators have a tab each; generators, which are talked to, have none here."""
    tasks = Sdk().tasks()
    found = {name: None if talks(config) else kind_of(config).id for name, config in tasks.items() if ":" not in name}
    assert {name: found[name] for name in ("generation", "sentiment", "translation")} == {
        "generation": None,
        "sentiment": "classify",
        "translation": "translate",
    }


def test_a_result_type_of_a_plugin_finds_its_tab() -> None:
    """What derives from a known type shares its tab; an unknown type has one by its own name, an unsaid one a plain
    one; a task of an older plugin that samples is talked to."""
    assert kind_of(StarsConfig).id == "classify"
    assert kind_of(ForecastConfig).title == "Weather Forecast"
    assert kind_of(SilentConfig).id == "predict"
    assert talks(TalkingConfig)
    assert not talks(SilentConfig)
    order = [kind.id for kind in kinds([SilentConfig, ForecastConfig, TalkingConfig, StarsConfig, StarsConfig])]
    assert order == ["classify", "predict", "weatherforecast"]


def test_an_input_is_a_text_or_a_row() -> None:
    """A bare text stands for the one text column there is; where there is none, an input is a row."""
    assert text_column(StarsConfig) == "text"
    assert text_column(ForecastConfig) is None


def test_tabs_are_known_without_torch() -> None:
    """Listing checkpoints by tab imports no torch."""
    code = (
        "import sys\n"
        "from seqdemo.ui.source import Sdk\n"
        "from seqdemo.ui.kinds import kinds\n"
        "assert kinds(Sdk().tasks().values())\n"
        "Sdk().predictors()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
