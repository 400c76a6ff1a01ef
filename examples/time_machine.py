"""A character language model on The Time Machine: perplexity while it learns, then text of its own.

What you learn: how a text becomes ids and windows; that perplexity is the exponential of the mean loss, "between how
many characters the model hesitates"; why the held-out perplexity is the one that counts; and what temperature does.
The data are the first five chapters (H. G. Wells, 1895, public domain); the last tenth is held out.

《时间机器》字符级语言模型：边训练边看困惑度，然后生成文本。

    python examples/time_machine.py
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from pathlib import Path
from typing import Any

import click

import seqdemo
from seqdemo.training import Listener

DATA = Path(__file__).parent / "data" / "time_machine.txt"


class Table(Listener):
    """Prints a line at every validation."""

    def __init__(self) -> None:
        self.train = float("nan")

    def measured(self, record: Mapping[str, Any]) -> None:
        self.train = exp(record["loss"])

    def validated(self, record: Mapping[str, Any]) -> None:
        held_out = record["metrics"]["perplexity"]
        print(f"  {record['step']:>5}{self.train:>10.2f}{held_out:>11.2f}   {record['sample'].splitlines()[0].strip()}")


def learn(out: Path, steps: int) -> seqdemo.Pipeline:
    """Train one LSTM layer: 32 streams run through the text side by side, 32 characters a step, the state carried."""
    print("1. Training; each line: perplexity on the text being read, perplexity on the held-out end, a sample")
    print(f"  {'step':>5}{'train':>10}{'held out':>11}   The Time Traveller …")
    seqdemo.train(
        data=DATA,
        out=out,
        model="lstm",
        tokenizer="char",
        tokenizer_config={"unknown": "unk"},  # a rare capital may occur in the held-out text only
        model_config={"hidden_size": 192},
        task_config={"embedding_size": 32},
        steps=steps,
        batch_size=32,
        window=32,
        learning_rate=1e-2,
        clip_norm=1.0,
        sample_prompt="The Time Traveller ",
        sample_tokens=48,
        precision="fp32",
        overwrite=True,
        progress=False,
        listeners=[Table()],
    )
    return seqdemo.load(out, device="cpu")


def measure(pipe: seqdemo.Pipeline) -> None:
    """The two perplexities of the checkpoint, and where it hesitates."""
    print("\n2. The checkpoint that was best on the held-out text")
    vocabulary = pipe.tokenizers["text"].vocab_size
    read, held_out = (seqdemo.evaluate(pipe, DATA, part=part) for part in ("train", "validation"))
    print(f"  {pipe.parameters:,} parameters, {vocabulary} characters; one that guesses has perplexity {vocabulary}")
    print(f"  train perplexity    {read['perplexity']:.2f}    {read['bits_per_character']:.2f} bits per character")
    print(
        f"  held-out perplexity {held_out['perplexity']:.2f}    {held_out['bits_per_character']:.2f} bits per character"
    )

    score = pipe.score("The Time Traveller smiled.")
    print("\n3. Probability of each character of a sentence, given all before it")
    print("  " + "".join(f"{token:>5}" for token in score.tokens))
    print("  " + "".join(f"{exp(logprob):>5.2f}" for logprob in score.logprobs))
    print(f"  perplexity {score.perplexity:.2f}: the model hesitates where words begin, and is sure inside them.")


def write(pipe: seqdemo.Pipeline) -> None:
    """The same seed at three temperatures."""
    print("\n4. Generation; the seed is the same, only the temperature differs")
    for temperature in (0.2, 0.7, 1.2):
        made = pipe.generate("The Time Traveller", max_tokens=150, temperature=temperature, seed=1895)
        print(f"  {temperature}: The Time Traveller{' '.join(str(made).split(chr(10)))}")
    print(f"  The state it carried: {made.usage.state_bytes:,} bytes, the same after 18 characters and after 168.")


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default="runs/time-machine", show_default=True)
@click.option("--steps", default=800, show_default=True, help="Steps of training; more is better for a while.")
def main(out: Path, steps: int) -> None:
    """Train, measure, write."""
    pipe = learn(out, steps)
    measure(pipe)
    write(pipe)
    print(f"\nThe checkpoint is in {out}. Go on with: seqdemo generate {out} 'The Time Traveller'")


if __name__ == "__main__":
    main()
