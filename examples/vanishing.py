"""Backpropagation through time: gradients that vanish, gradients that explode, clipping, truncation. All measured.

What you learn: how fast the gradient fades on its way back through an RNN, a GRU and an LSTM, and what an open forget
gate changes; what recurrent weights that are too large do to one training step, and how clipping saves it; and that
truncated backpropagation is exact inside its window.

时间反向传播：用数字看梯度消失、梯度爆炸、梯度裁剪与截断。

    python examples/vanishing.py --out vanishing.png
"""

from __future__ import annotations

from pathlib import Path

import click
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.func import functional_call

from seqdemo.builtin.models.config import GRUConfig, LSTMConfig, RNNConfig, ScratchRNNConfig
from seqdemo.builtin.models.fused import GRU, LSTM, RNN
from seqdemo.builtin.models.scratch import ScratchRNN
from seqdemo.plugin import RecurrentModel, build_model, state

B, T, I, H = 8, 100, 16, 64  # batch, time, input, hidden  # noqa: E741
DISTANCES = (0, 1, 5, 10, 20, 50, 99)
COLOURS = ("#c0392b", "#b9770e", "#7fb3d5", "#2e86c1", "#1b4f72")


def models() -> dict[str, RecurrentModel]:
    """Untrained models; the forget gates of the last two start open, about sigmoid(1) = 0.73 and sigmoid(2) = 0.88."""
    return {
        "rnn": build_model(RNN, RNNConfig(hidden_size=H), I),
        "gru": build_model(GRU, GRUConfig(hidden_size=H), I),
        "lstm": build_model(LSTM, LSTMConfig(hidden_size=H), I),
        "lstm, forget bias 1": build_model(LSTM, LSTMConfig(hidden_size=H, forget_bias=1.0), I),
        "lstm, forget bias 2": build_model(LSTM, LSTMConfig(hidden_size=H, forget_bias=2.0), I),
    }


def fading(model: RecurrentModel, x: Tensor) -> list[float]:
    """What is left of the gradient 0, 1, 2 … steps back from a loss that looks at the last output only.

    It is the norm of dL_T/ds_t over that of dL_T/ds_T, where s is the whole state: h, and for an LSTM h and c.
    """
    now, states = model.initial_state(B), []
    for t in range(T):
        y, now = model.step(x[:, t], now)
        states.append(now)
    entries = [tensor for one in states for tensor in one.values()]
    gradients = torch.autograd.grad(y.square().sum(), entries, materialize_grads=True)
    norms = torch.stack([gradient.norm() for gradient in gradients]).view(T, -1).norm(dim=1)
    return (norms / norms[-1]).flip(0).tolist()


def vanishing(x: Tensor) -> dict[str, list[float]]:
    """The same input through four models."""
    print("1. Vanishing: what is left of dL_T/ds_t so many steps back")
    print(f"  {'steps back':<20}" + "".join(f"{distance:>9}" for distance in DISTANCES) + f"{'kept per step':>16}")
    curves = {name: fading(model, x) for name, model in models().items()}
    for name, curve in curves.items():
        kept = (curve[80] / curve[20]) ** (1 / 60)
        print(f"  {name:<20}" + "".join(f"{curve[distance]:>9.0e}" for distance in DISTANCES) + f"{kept:>16.2f}")
    print("  Each step keeps a fixed share, so what is left falls exponentially. A gate helps as far as it is open.")
    return curves


def draw(curves: dict[str, list[float]], out: Path) -> None:
    """The same as a picture, on a logarithmic scale, where a fixed share per step is a straight line."""
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for (name, curve), colour in zip(curves.items(), COLOURS, strict=True):
        axes.semilogy(curve, color=colour, linewidth=2)
        drop = 9 if name == "lstm" else 1  # its curve ends close below the GRU's
        axes.annotate(name, (T - 1, curve[-1]), (6, -drop), textcoords="offset points", color=colour)
    axes.set(xlabel="steps back from the loss", ylabel="share of the gradient left", xlim=(0, T - 1))
    axes.set_title("How far back an untrained model can learn from", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    figure.savefig(out, dpi=150)


def exploding(x: Tensor, size: float = 0.1, limit: float = 1.0) -> None:
    """Scale the recurrent weights, and take one step of gradient descent with and without clipping.

    Clipping: g ← g · min(1, limit / ‖g‖). It is shorter, its direction is the same (Pascanu et al. 2013).
    """
    print(f"\n2. Exploding: larger recurrent weights, then one step of size {size}, clipped at {limit} or not")
    print(f"  {'radius':<8}{'gradient':>12}{'clipped':>10}{'loss before':>14}{'after':>10}{'after, clipped':>17}")
    model = build_model(ScratchRNN, ScratchRNNConfig(hidden_size=H), I)
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    name = "layers.0.hidden.from_state.weight"
    recurrent = weights[name] / torch.linalg.eigvals(weights[name]).abs().max()

    def loss(weights: dict[str, Tensor]) -> Tensor:
        y, _ = functional_call(model, weights, (x,))
        return y[:, -1].square().mean()

    for radius in (0.5, 1.0, 1.5, 2.0, 2.5):
        weights[name] = radius * recurrent
        gradients, before = torch.func.grad_and_value(loss)(weights)
        norm = torch.stack([gradient.norm() for gradient in gradients.values()]).norm().item()
        kept = min(1.0, limit / norm)
        after, clipped = (
            loss({name: weights[name] - size * share * gradients[name] for name in weights}).item()
            for share in (1.0, kept)
        )
        print(f"  {radius:<8}{norm:>12.2g}{norm * kept:>10.2g}{before.item():>14.3f}{after:>10.3f}{clipped:>17.3f}")
    print("  Radius: the largest eigenvalue. Beyond 1 gradients grow exponentially; a clipped step stays small.")


def truncating(x: Tensor) -> None:
    """Cut the gradient k steps before the loss, carry the state's value on, and compare with the whole."""
    print("\n3. Truncated BPTT: the state is carried across the cut, the gradient is not")
    print(f"  {'window':<8}{'change of dL/dx inside':>24}{'dL/dx before it':>18}{'weight gradient missed':>25}")
    model, x = models()["lstm"], x.clone().requires_grad_()

    def gradients(window: int) -> tuple[Tensor, Tensor]:
        _, middle = model(x[:, : T - window])
        y, _ = model(x[:, T - window :], state.detach(middle) if window < T else middle)
        at_input, *at_weights = torch.autograd.grad(y[:, -1].square().sum(), [x, *model.parameters()])
        return at_input, nn.utils.parameters_to_vector(at_weights)

    full, everything = gradients(T)
    for window in (5, 10, 20, 40):
        cut, some = gradients(window)
        inside, before = (cut - full)[:, -window:].abs().max().item(), cut[:, :-window].abs().max().item()
        assert inside < 1e-12, "truncation changes nothing inside the window"
        assert before == 0.0, "and lets nothing through from before it"
        missed = ((some - everything).norm() / everything.norm()).item()
        print(f"  {window:<8}{inside:>24.0e}{before:>18.0e}{missed:>25.0e}")
    print("  Inside the window nothing changes. What is missed is what came from before it, and that had faded.")


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default="vanishing.png", show_default=True, help="The picture.")
def main(out: Path) -> None:
    """Measure all of it in float64, and draw the first part."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    x = torch.randn(B, T, I)
    draw(vanishing(x), out)
    exploding(0.1 * x)
    truncating(x)
    print(f"\nDrawn in {out}.")


if __name__ == "__main__":
    main()
