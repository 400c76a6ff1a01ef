"""What the README says of the models holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from seqdemo_modern import seqdemo_models

from seqdemo.manager import manager
from seqdemo.plugin import build_model
from seqdemo.plugin import state as verbs

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in README.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("record", seqdemo_models(), ids=lambda record: record.name)
def test_state_bytes_and_settings_are_those_of_the_model(record):
    """The tables give each model's state entries, bytes of state and settings with their defaults."""
    schema = manager().config_class("models", record.name)
    model = build_model(manager().implementation("models", record.name), schema(hidden_size=256, num_layers=1), 256)
    state = model.initial_state(1)
    mine = [row for row in ROWS if f"`{record.name}`" in row[0].split(", ")]
    recurrence, _, settings = mine
    assert recurrence[3] == f"{verbs.nbytes(state):,}"
    assert set(re.findall("`(.+?)`", recurrence[2])) == {name.removeprefix("layer0.") for name in state}
    own = schema.model_fields.keys() - {"hidden_size", "num_layers", "dropout"}
    assert set(re.findall(r"(?:^|, )`(\w+)`", settings[1])) == own
    for name, given in re.findall(r"`(\w+)` \(([\d./]+)\)", settings[1]):
        over, _, under = given.partition("/")
        assert schema.model_fields[name].default == float(over) / float(under or 1)


def test_its_python_runs():
    """The snippet runs as it stands."""
    for code in re.findall("```python\n(.*?)```", README, re.DOTALL):
        exec(compile(code, "README.md", "exec"), {})
