"""What gates do: an LSTM and a GRU read a sentence, and their gates are drawn character by character.

What you learn: the gates of both cells, c' = f c + i g, h' = o tanh(c') and h' = (1 - z) n + z h; that a gate is a
number between 0 (closed) and 1 (open) for every unit at every step; and that after half a minute of training, units
have found work of their own, such as noticing that a word has ended.

看门控：LSTM 与 GRU 读一句话，把每个门在每个字符上的开合画成热力图。

    python examples/gates.py --out gates.png
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from matplotlib.figure import Figure
from torch import Tensor

import seqdemo

DATA = Path(__file__).parent / "data" / "time_machine.txt"
SENTENCE = "'I was in the Time Machine,' said the Time Traveller."
SHOWN = 8  # units in each heat map
GATES = {
    "lstm": {"f": "forget gate f\nkeep the memory", "i": "input gate i\nwrite to it", "o": "output gate o\nshow it"},
    "gru": {"z": "update gate z\nkeep the state", "r": "reset gate r\nlook at the past"},
}


def trained(model: str, folder: Path) -> seqdemo.Pipeline:
    """A small character model of The Time Machine."""
    seqdemo.train(
        data=DATA,
        out=folder / model,
        model=model,
        tokenizer="char",
        tokenizer_config={"unknown": "unk"},  # a rare capital may occur in the held-out text only
        model_config={"hidden_size": 64},
        task_config={"embedding_size": 32},
        steps=400,
        batch_size=32,
        window=32,
        learning_rate=1e-2,
        precision="fp32",
        sample_tokens=0,
        progress=False,
    )
    return seqdemo.load(folder / model, device="cpu")


def opened(pipe: seqdemo.Pipeline, text: str) -> dict[str, Tensor]:
    """Each gate while the text is read: name -> ``(T, H)``."""
    ids = torch.tensor([pipe.tokenizers["text"].encode(text)])
    with torch.no_grad():
        context, state = pipe.head.start([{"text": ""}])
        seen = pipe.head.next(ids, state, context, trace=True).trace
    return {gate: seen[f"layer0.{gate}"][0] for gate in GATES[pipe.parts.models["decoder"].name]}


def contrast(values: Tensor, text: str) -> tuple[Tensor, Tensor]:
    """Mean opening ``(H,)`` at spaces and at all other characters."""
    space = torch.tensor([character == " " for character in text])
    return values[space].mean(0), values[~space].mean(0)


def report(model: str, gates: dict[str, Tensor], text: str) -> None:
    """How open each gate is, and the unit that tells spaces from letters best."""
    for gate, values in gates.items():
        at_space, in_word = contrast(values, text)
        unit = int((at_space - in_word).abs().argmax())
        print(
            f"  {model:<6}{gate:<6}{values.mean():>7.2f}{(values > 0.9).float().mean():>12.0%}"
            f"{(values < 0.1).float().mean():>12.0%}{unit:>8}{at_space[unit]:>12.2f}{in_word[unit]:>12.2f}"
        )


def draw(found: dict[str, dict[str, Tensor]], text: str, out: Path) -> None:
    """One heat map for each gate: characters from left to right, below one another the units that mind spaces most."""
    panels = [(model, gate, values) for model, gates in found.items() for gate, values in gates.items()]
    figure = Figure(figsize=(12, 8.5), layout="constrained")
    for place, (model, gate, values) in zip(figure.subplots(len(panels), 1, sharex=True), panels, strict=True):
        at_space, in_word = contrast(values, text)
        units = (at_space - in_word).abs().topk(SHOWN).indices
        units = units[(at_space - in_word)[units].argsort()]
        image = place.imshow(values[:, units].T, aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        place.set_ylabel(f"{model.upper()}\n{GATES[model][gate]}", rotation=0, ha="right", va="center", labelpad=34)
        place.set_yticks(range(SHOWN), [str(unit) for unit in units.tolist()], fontsize=6.5, color="0.4")
        place.set_xticks(range(len(text)), [c if c != " " else "·" for c in text], family="monospace", fontsize=12)
        place.tick_params(length=0, labelbottom=True)
        for spine in place.spines.values():
            spine.set_visible(False)
        for at, character in enumerate(text):
            if character == " ":
                place.axvline(at + 0.5, color="white", linewidth=1.5)
    bar = figure.colorbar(image, ax=figure.axes, shrink=0.4, pad=0.01, ticks=[0, 0.5, 1])
    bar.ax.set_yticklabels(["closed", "half", "open"])
    bar.outline.set_visible(False)
    figure.suptitle(
        f"Gates at each character, in the {SHOWN} units that tell spaces from letters best", x=0.01, ha="left"
    )
    figure.savefig(out, dpi=150)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default="gates.png", show_default=True, help="The picture.")
def main(out: Path) -> None:
    """Train both for a few seconds, read the sentence, print and draw the gates."""
    with TemporaryDirectory() as folder:
        pipes = {model: trained(model, Path(folder)) for model in GATES}
    found = {model: opened(pipe, SENTENCE) for model, pipe in pipes.items()}
    for model, pipe in pipes.items():
        print(f"{model}: held-out perplexity {pipe.manifest.metrics['perplexity']:.2f}")
    print("\nHow open the gates of all 64 units are, and the unit that tells spaces from letters best")
    print(f"  {'model':<6}{'gate':<6}{'mean':>7}{'above 0.9':>12}{'below 0.1':>12}", end="")
    print(f"{'unit':>8}{'at spaces':>12}{'in words':>12}")
    for model, gates in found.items():
        report(model, gates, SENTENCE)
    draw(found, SENTENCE, out)
    print(f"\nDrawn in {out}: characters from left to right, units below one another, dark is open.")


if __name__ == "__main__":
    main()
