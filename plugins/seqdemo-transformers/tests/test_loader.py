"""Folders are recognised without anything heavy, and refused for what is wrong with them before memory is taken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from seqdemo_transformers.config import FAMILIES, TransformersConfig

import seqdemo
from seqdemo.errors import CheckpointError

Make = Callable[..., Path]


@pytest.fixture
def folder(make_folder: Make, tmp_path: Path) -> Path:
    """A folder to do harm to."""
    return Path(shutil.copytree(make_folder("mamba"), tmp_path / "mine"))


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.is_file() else {}), **values}))


def reweigh(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


def widened(folder: Path) -> None:
    edit(folder / "config.json", hidden_size=2**20, intermediate_size=2**21)


HARM: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pickled": (pickled, r"pytorch_model\.bin, a pickle.*save_pretrained"),
    "missing": (lambda at: (at / "model.safetensors").unlink(), "were not downloaded"),
    "truncated": (lambda at: (at / "model.safetensors").write_bytes(b"\x10" + b"\0" * 9), "truncated"),
    "config of another size": (widened, "belong to different models"),
    "deeper config": (lambda at: edit(at / "config.json", num_hidden_layers=4), "lacks the weight"),
    "shallower config": (lambda at: edit(at / "config.json", num_hidden_layers=2), "which the model does not have"),
    "quantised": (lambda at: edit(at / "config.json", quantization_config={"bits": 4}), "quantised"),
    "nonsense config": (lambda at: edit(at / "config.json", hidden_size="wide"), r"config\.json of .* cannot be used"),
    "no tokenizer": (lambda at: (at / "tokenizer.json").unlink(), "has no tokenizer"),
    "small embedding": (
        lambda at: (
            reweigh(at, lambda w: w.update({"backbone.embeddings.weight": w["backbone.embeddings.weight"][:100]})),
            edit(at / "config.json", vocab_size=100),
        ),
        "tokens, its model only 100",
    ),
    "index that leads out": (
        lambda at: edit(at / "model.safetensors.index.json", weight_map={"a": "../other.safetensors"}),
        "expected safetensors files beside it",
    ),
    "missing shard": (
        lambda at: edit(at / "model.safetensors.index.json", weight_map={"a": "model-00001-of-00002.safetensors"}),
        "lacks model-00001-of-00002",
    ),
}


@pytest.mark.parametrize("harm", HARM)
def test_damage_is_named(harm: str, folder: Path) -> None:
    """What is wrong with a folder is said in one line."""
    damage, message = HARM[harm]
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        seqdemo.load(folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_other_architectures_are_not_recognised(folder: Path) -> None:
    """A transformer's folder is refused with the loaders there are."""
    edit(folder / "config.json", model_type="llama")
    assert not TransformersConfig().matches(folder)
    with pytest.raises(CheckpointError, match=r"no installed loader.*Mamba-2"):
        seqdemo.load(folder, device="cpu")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"model_type": ["mamba"]}', "[" * 100_000])
def test_strange_configs_do_not_match(tmp_path: Path, content: str) -> None:
    """Anything that is no config of a supported family is simply not ours."""
    (tmp_path / "config.json").write_text(content)
    assert not TransformersConfig().matches(tmp_path)


def test_no_code_of_the_folder_runs(folder: Path) -> None:
    """Code that a folder brings is never imported."""
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\nclass Config: ...\n")
    edit(folder / "config.json", auto_map={"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Config"})
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Config", None]})
    seqdemo.load(folder, device="cpu")
    assert not (folder / "ran").exists()


def test_shards_and_spare_rows(make_folder: Make, tmp_path: Path) -> None:
    """Weights in several files load as well; rows of the embedding without a token are never chosen."""
    whole = make_folder("rwkv", spare=5)
    split = Path(shutil.copytree(whole, tmp_path / "split"))
    weights = load_file(split / "model.safetensors")
    (split / "model.safetensors").unlink()
    names = sorted(weights)
    where = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: weights[name] for name in part}, split / file, {"format": "pt"})
        where |= dict.fromkeys(part, file)
    edit(split / "model.safetensors.index.json", metadata={"total_size": 1}, weight_map=where)
    pipes = [seqdemo.load(place, device="cpu") for place in (whole, split)]
    texts = {str(pipe.generate("The time", seed=1, max_tokens=12, temperature=2.0)) for pipe in pipes}
    assert len(texts) == 1
    assert len(pipes[0].head.forbidden_ids) == 5  # type: ignore[arg-type]
    assert pipes[0].fingerprint != pipes[1].fingerprint


def test_preferences(folder: Path) -> None:
    """Sampling options of ``generation_config.json`` are taken where they are in bounds and sampling is asked for."""
    edit(folder / "generation_config.json", do_sample=True, temperature=0.6, top_p=7.0, top_k=20, eos_token_id=[1, 9])
    pipe = seqdemo.load(folder, device="cpu")
    assert (pipe.options({}).temperature, pipe.options({}).top_k, pipe.options({}).top_p) == (0.6, 20, 1.0)
    assert {1, 9} <= pipe.head.end_ids  # type: ignore[operator]
    edit(folder / "generation_config.json", do_sample=False)
    assert TransformersConfig().describe(folder).options == {}


def test_fingerprint_follows_the_weights(folder: Path) -> None:
    """The same folder has the same fingerprint wherever it lies; another weight has another."""
    before = seqdemo.load(folder, device="cpu").fingerprint
    assert seqdemo.load(shutil.copytree(folder, folder.with_name("copy")), device="cpu").fingerprint == before
    reweigh(folder, lambda weights: weights["backbone.norm_f.weight"].mul_(2))
    assert seqdemo.load(folder, device="cpu").fingerprint != before


def test_evaluate_and_score(make_folder: Make, tmp_path: Path) -> None:
    """A text's loss by the metrics is that of its score."""
    pipe = seqdemo.load(make_folder("xlstm"), device="cpu")
    text = "The time traveller was expounding a recondite matter to us. " * 3
    (tmp_path / "text.txt").write_text(text)
    found = pipe.evaluate(tmp_path / "text.txt")
    score = pipe.score(text)
    assert found["tokens"] == len(score.ids) - 1
    assert found["loss"] == pytest.approx(-sum(score.logprobs[1:]) / (len(score.ids) - 1), rel=0.02)
    assert found["bits_per_byte"] > 0


def test_hub_id_from_the_cache(make_folder: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub id whose files are in the local cache loads without the network, by the same name."""
    snapshot = tmp_path / "cache" / "models--someone--tiny" / "snapshots" / ("0" * 40)
    shutil.copytree(make_folder("mamba2"), snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    pipe = seqdemo.load("someone/tiny", device="cpu", local_files_only=True)
    assert (pipe.name, pipe.task) == ("someone/tiny", "generation")


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def test_command_line_and_listing(folder: Path, tmp_path: Path) -> None:
    """A folder in the user's checkpoints is listed and generates by name, and listing imports nothing heavy."""
    home = tmp_path / "home"
    shutil.copytree(folder, home / "checkpoints" / "pocket")
    code = (
        "import sys, seqdemo; (one,) = [r for r in seqdemo.available('checkpoints') if r.name == 'pocket'];"
        "print(one.task, *one.models, one.problem or 'fine', [p.health for p in seqdemo.plugins()],"
        "[name for name in ('torch', 'transformers', 'gradio') if name in sys.modules])"
    )
    listed = run("-c", code, SEQDEMO_HOME=str(home), SEQDEMO_LOAD_PLUGINS="seqdemo-transformers")
    assert listed.stdout.split() == ["generation", "Mamba", "fine", "['ok',", "'ok']", "[]"], listed.stderr
    made = run(
        *("-m", "seqdemo", "generate", "pocket", "The time", "--max-tokens", "5", "--seed", "1", "--device", "cpu"),
        SEQDEMO_HOME=str(home),
    )
    assert made.returncode == 0, made.stderr
    assert "Loading weights" not in made.stderr
    shown = str(seqdemo.load(folder, device="cpu").generate("The time", max_tokens=5, seed=1))
    assert shown in made.stdout


def test_every_family_is_announced() -> None:
    """What is recognised is what can be loaded."""
    from seqdemo_transformers.loader import CLASSES

    assert FAMILIES.keys() == CLASSES.keys()
