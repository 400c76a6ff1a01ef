"""The script that measures a translator and writes what ships."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import seqdemo

SCRIPT = Path(__file__).parents[2] / "examples" / "checkpoints" / "report_translation.py"
ROWS = [{"source": "ein Hund", "target": "a dog"}, {"source": "a|b", "target": "c|d"}]


def test_a_translator_is_measured_and_saved_with_what_was_found(tmp_path: Path) -> None:
    """Settings with the best BLEU on dev are the checkpoint's; figures, notes and all translations are in its card."""
    pipe = seqdemo.pipeline(
        "translation",
        tokenizer_config={"end_token": True},
        model_config={"hidden_size": 8},
        task_config={"embedding_size": 8, "attention_size": 4},
        device="cpu",
    )
    pipe.save(tmp_path / "run", card="# run\n", metrics={"loss": 1.0}, options={"max_tokens": 6})
    for name in ("dev", "test", "notes"):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    (tmp_path / "notes").write_text("## Limits\n\nIt knows nothing.\n", "utf-8")
    files = [word for name in ("dev", "test", "notes") for word in (f"--{name}", str(tmp_path / name))]
    settings = ["--beams", "1", "2", "--penalties", "0.5", "--precisions", "fp32", "--example", "ein Hund"]
    paths = ["--out", str(tmp_path / "out"), "--save", str(tmp_path / "translate-x")]
    command = [sys.executable, str(SCRIPT), str(tmp_path / "run"), *files, *settings, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    result = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    saved = seqdemo.load(tmp_path / "translate-x", device="cpu")
    assert saved.manifest is not None
    assert [one["beam_size"] for one in result["test"]] == [1, result["options"]["beam_size"]]
    assert saved.manifest.options == {"max_tokens": 6, **result["options"]}
    assert saved.manifest.metrics["loss"] == 1.0
    assert saved.manifest.metrics["bleu"] == result["test"][1]["bleu"]
    assert saved.manifest.examples == ("ein Hund",)
    assert saved.card.startswith("# translate-x")
    assert "It knows nothing." in saved.card
    assert "| a\\|b |" in saved.card
    assert done.stdout.count("BLEU") == 2
    assert {one["beam_size"] for one in result["dev"]} == {1, 2}
