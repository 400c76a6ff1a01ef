"""Several processes train the model that one process trains on the larger batch."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from seqdemo.training.config import TrainingConfig
from seqdemo.training.launch import Team

SCRIPT = """
import json, os, signal, sys
from seqdemo.training import Listener, TrainingInterrupted, train

class Stop(Listener):
    def step(self, step, progress, seconds):
        if step == 15:
            os.kill(os.getpid(), signal.SIGINT)

given = json.loads(sys.argv[1])
first = train(out=given["out"] + "/two", **given["options"])
try:
    train(out=given["out"] + "/again", listeners=[Stop()], **given["options"])
    raise SystemExit("it was not interrupted")
except TrainingInterrupted as stopped:
    assert stopped.step == 20, stopped
second = train(out=given["out"] + "/again", **given["options"])
print(json.dumps([first.rank, second.rank]))
"""


def largest_difference(a: Path, b: Path) -> float:
    """Between two checkpoints' weights."""
    left, right = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    return max((left[name] - right[name]).abs().max().item() for name in left)


def test_two_processes_equal_the_doubled_batch(run: Callable[..., Any], tmp_path: Path, lines: Any) -> None:
    """Under accelerate launch, two CPU processes reach one process's weights, also when interrupted and resumed."""
    options = {
        "data": str(tmp_path / "text.txt"),
        "model_config": {"hidden_size": 12},
        "task_config": {"embedding_size": 6},
        "window": 8,
        "steps": 30,
        "validate_every": 15,
        "optimizer": "sgd",
        "learning_rate": 0.5,
        "warmup_steps": 0,
        "average": 0.9,
        "precision": "fp32",
        "device": "cpu",
        "threads": 1,
        "sample_tokens": 4,
        "log_every": 5,
        "progress": False,
    }
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"]
    launch += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    given = json.dumps({"out": str(tmp_path), "options": {**options, "batch_size": 3}})
    result = subprocess.run(
        [sys.executable, *launch, str(script), given],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "PYTHONFAULTHANDLER": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert result.returncode == 0, result.stderr
    assert sorted(re.findall(r"\[(\d), \d\]", result.stdout)) == ["0", "1"]  # both may write into one line
    one = run(**{**options, "batch_size": 6, "out": tmp_path / "one"}).folder
    assert largest_difference(tmp_path / "two", one) < 1e-5
    assert largest_difference(tmp_path / "again", tmp_path / "two") < 1e-6
    for kind in ("train", "validation"):
        theirs, ours = lines(tmp_path / "two", kind), lines(one, kind)
        assert [record["step"] for record in theirs] == [record["step"] for record in ours]
    got = [record["metrics"] for record in lines(tmp_path / "two", "validation")]
    want = [record["metrics"] for record in lines(one, "validation")]
    assert got[-1]["tokens"] == want[-1]["tokens"]
    assert [m["loss"] for m in got] == pytest.approx([m["loss"] for m in want], abs=1e-5)


def test_precision_may_change_from_run_to_run() -> None:
    """accelerate's settings belong to one run, not to the process."""
    for precision in ("fp32", "bf16", "fp32"):
        team = Team(TrainingConfig(precision=precision, device="cpu"))
        assert (team.world, team.rank, team.precision, team.device.type) == (1, 0, precision, "cpu")
        with team.autocast():
            product = torch.ones(2, 2) @ torch.ones(2, 2)
        assert product.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)


def test_bf16_trains_and_keeps_float32_weights_and_states(run: Callable[..., Any], lines: Any) -> None:
    """Autocast touches neither the weights nor the state carried on, and learns about as well."""
    wide = run(steps=60, validate_every=60)
    narrow = run(steps=60, validate_every=60, precision="bf16", out=wide.folder.parent / "bf16")
    saved = load_file(narrow.folder / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}
    assert narrow.metrics["loss"] == pytest.approx(wide.metrics["loss"], rel=0.03)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_trains_like_the_cpu(run: Callable[..., Any]) -> None:
    """The same run on a GPU reaches about the same loss, and resumes."""
    here = run(steps=40)
    there = run(steps=40, device="cuda", out=here.folder.parent / "cuda")
    assert there.metrics["loss"] == pytest.approx(here.metrics["loss"], rel=0.01)
