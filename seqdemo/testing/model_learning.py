"""Checks of recurrent models as something that learns and is saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError

from seqdemo.plugin import RecurrentModel
from seqdemo.plugin import state as verbs

from .compare import close, states_close
from .core import check, expect, fail, inapplicable

if TYPE_CHECKING:
    from .model_lab import ModelLab


def learned(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Parameters that are trained, by name."""
    found = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not found:
        inapplicable("it has no parameters to train")
    return found


def gradients_arrived(parameters: Mapping[str, torch.nn.Parameter]) -> None:
    """Fail unless each of them has a finite gradient that is not zero."""
    lacking = [name for name, p in parameters.items() if p.grad is None or not p.grad.any()]
    expect(not lacking, f"no gradient in: {', '.join(lacking)}", "a gradient in every parameter")
    wrong = [name for name, p in parameters.items() if p.grad is not None and not p.grad.isfinite().all()]
    expect(not wrong, f"gradients that are not finite in: {', '.join(wrong)}", "finite gradients")


@check(
    "model",
    cause="detach(), .data, .item() or no_grad inside forward; a parameter that is created and never used.",
    mend="compute outputs from the parameters themselves; remove the unused ones, or freeze them with "
    "requires_grad_(False).",
    needs=("state_size_constant",),
)
def gradients_reach(lab: ModelLab) -> None:
    """Gradients of outputs and final state reach every parameter, and are finite."""
    model = lab.model()
    parameters = learned(model)
    with torch.enable_grad():
        y, after = model(lab.x(2, 6), model.initial_state(2))
        total = (y * lab.weights_like(y)).sum()
        for tensor in after.values():
            if tensor.requires_grad:
                total = total + (tensor * lab.weights_like(tensor)).sum().real
        if not total.requires_grad:
            fail("outputs that carry no gradient at all", "outputs that depend on the parameters")
        total.backward()
    gradients_arrived(parameters)


@check(
    "model",
    cause="a hand-written backward, or a state that is detached between positions, which cuts the gradient in time.",
    mend="check the backward against torch.autograd.gradcheck; detach only between windows, which the trainer does.",
    needs=("gradients_reach",),
)
def gradients_match(lab: ModelLab) -> None:
    """Gradients of the input and of every parameter match finite differences in float64."""
    model = lab.model()
    parameters = list(learned(model).values())

    def read(x: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        y, after = model(x, model.initial_state(1))
        return (y, *(tensor for tensor in after.values() if tensor.requires_grad and tensor.is_floating_point()))

    x = lab.x(1, 4).requires_grad_()
    try:
        with torch.enable_grad():
            torch.autograd.gradcheck(read, (x, *parameters), fast_mode=True, nondet_tol=1e-8)
    except GradcheckError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        fail(f"gradcheck says: {' '.join(lines[:3])[:300]}", "the gradient of finite differences")


def copied(model: torch.nn.Module) -> dict[str, Tensor]:
    """A model's weights after a way through a safetensors file."""
    return load(save({name: t.detach().clone().contiguous() for name, t in model.state_dict().items()}))


@check(
    "model",
    cause="a tensor kept as a plain attribute or in a list: state_dict does not see it.",
    mend="use nn.Parameter, register_buffer, nn.ModuleList or nn.ParameterList.",
    needs=("state_size_constant",),
)
def weights_save_load(lab: ModelLab) -> None:
    """Weights saved and loaded into a model built under another seed give the same outputs."""
    model, other = lab.model(), lab.build(seed=99).double()
    other.load_state_dict(copied(model))
    want, want_after = model(lab.x(2, 5), model.initial_state(2))
    got, after = other(lab.x(2, 5), other.initial_state(2))
    close(got, want, "y of the model and of its reloaded copy")
    states_close(after, want_after, "the state of the model and of its reloaded copy")


@check(
    "model",
    cause="an entry of a dtype or layout that safetensors does not store (complex128, sparse).",
    mend="keep real and imaginary parts as two real entries.",
    needs=("state_size_constant",),
)
def state_save_load(lab: ModelLab) -> None:
    """A state written to bytes and read again is the same and continues the same."""
    model = lab.model()
    state = lab.used(model, 2)
    back, _ = verbs.from_bytes(verbs.to_bytes(state))
    states_close(back, state, "a state before and after it was saved", 0)
    got, want = (_continued(lab, model, each) for each in (back, state))
    close(got, want, "y continued from the saved state and from itself")


def _continued(lab: ModelLab, model: RecurrentModel, state: verbs.State) -> Tensor:
    y: Tensor = model(lab.x(2, 3, seed=5), state)[0]
    return y
