"""Checks of recurrent models where they run: precision, device, threads."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seqdemo.plugin import RecurrentModel
from seqdemo.plugin import state as verbs

from .compare import close
from .core import check, expect, fail
from .threads import side_by_side

if TYPE_CHECKING:
    from .model_lab import ModelLab


@check(
    "model",
    cause="torch.zeros without a dtype in initial_state, or a float32 constant in the step.",
    mend="make tensors like a parameter: self.weight.new_zeros(batch_size, self.hidden_size).",
    needs=("initial_state_flat", "same_seed_same_weights"),
)
def dtype_follows(lab: ModelLab) -> str | None:
    """In float64, float32 and bfloat16, outputs have the module's dtype and lie near, states keep theirs."""
    exact = lab.model()
    want: Tensor | None = None
    without: list[str] = []
    for dtype, tolerance in ((torch.float64, 0.0), (torch.float32, 1e-4), (torch.bfloat16, 0.1)):
        model, shown = exact if dtype is torch.float64 else lab.model(dtype), _name(dtype)
        state = model.initial_state(2)
        for name, tensor in state.items():
            expect(
                not tensor.is_floating_point() or torch.promote_types(tensor.dtype, dtype) == tensor.dtype,
                f"in a {shown} model, entry {name!r} of initial_state is {_name(tensor.dtype)}",
                f"{shown}, or wider",
            )
        try:
            y, after = model(lab.x(2, 6, dtype=dtype), state)
        except RuntimeError as error:
            if dtype is torch.bfloat16 and "not implemented for" in str(error):
                without.append(shown)
                continue
            raise
        expect(y.dtype == dtype, f"a {shown} model gives y in {_name(y.dtype)}", shown)
        _same_dtypes(state, after, f"a {shown} model")
        want = y if want is None else want
        close(y, want, f"y in {shown} and in float64", tolerance)
    return f"without {', '.join(without)}: torch lacks an operation here" if without else None


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _same_dtypes(before: verbs.State, after: verbs.State, what: str) -> None:
    for name, tensor in before.items():
        now = after.get(name, tensor).dtype
        expect(
            now == tensor.dtype,
            f"{what}: state entry {name!r} turned from {_name(tensor.dtype)} into {_name(now)}",
            "a state that keeps its dtypes",
        )


@check(
    "model",
    cause="the state takes the dtype of a product, which mixed precision computes in bfloat16.",
    mend="cast the new state to the dtype of the old one: h.to(state['h'].dtype).",
    needs=("state_size_constant",),
)
def autocast_keeps_state(lab: ModelLab) -> None:
    """Under bfloat16 autocast, as training uses it, the state keeps its dtypes."""
    model = lab.model(torch.float32)
    state, x = model.initial_state(2), lab.x(2, 4, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        _same_dtypes(state, model(x, state)[1], "forward under autocast")
        if model.causal:
            _same_dtypes(state, model.step(x[:, 0], state)[1], "step under autocast")


@check(
    "model",
    cause="torch.zeros or torch.arange without a device, or a tensor kept as a plain attribute, which .to() misses.",
    mend="make tensors like a parameter or like the input: x.new_zeros(…); register constants as buffers.",
    needs=("weights_save_load",),
)
def device_follows(lab: ModelLab) -> str | None:
    """``initial_state`` is on the module's device, and reading works there: on ``meta``, and on CUDA where it is."""
    model = lab.model(torch.float32).to("meta")
    state, note = model.initial_state(2), None
    _on_device(state, "meta")
    try:
        y, after = model(torch.empty(2, 4, lab.input_size, device="meta"), state)
        _on_device({"y": y, **after}, "meta")
    except (NotImplementedError, RuntimeError) as error:
        if "same device" in str(error) or "device type" in str(error):
            fail(f"on another device forward mixes devices: {str(error).splitlines()[0]}", "one device")
        note = "it reads values while it computes, so reading was not tried on meta"
    if torch.cuda.is_available():
        model = lab.model(torch.float32)
        x = lab.x(2, 8, dtype=torch.float32)
        want, _ = model(x, model.initial_state(2))
        model = model.cuda()
        state = model.initial_state(2)
        _on_device(state, "cuda")
        y, after = model(x.cuda(), state)
        _on_device({"y": y, **after}, "cuda")
        close(y, want, "y on CUDA and on the CPU", 1e-3)
    return note


def _on_device(tensors: verbs.State, device: str) -> None:
    for name, tensor in tensors.items():
        expect(
            tensor.device.type == device,
            f"a model on {device} gives {name!r} on {tensor.device.type}",
            f"everything on {device}",
        )


@check(
    "model",
    cause="scratch space on the module: self.x = x, used again some lines later.",
    mend="pass values as arguments and results; write nothing to self while reading.",
    needs=("state_size_constant",),
)
def two_threads(lab: ModelLab) -> None:
    """Two threads that read with one model at once get what each gets alone."""
    model = lab.model()
    want = [_read(lab, model, seed) for seed in (0, 1)]
    first, second = (partial(_read, lab, model, seed) for seed in (0, 1))
    for got, alone in zip(side_by_side(first, second, times=2), want, strict=True):
        for y in got:
            close(y, alone, "y of one of two threads, and alone")


def _read(lab: ModelLab, model: RecurrentModel, seed: int) -> Tensor:
    """The outputs of a session of 40 positions, by turns with ``forward`` and ``step``."""
    with torch.no_grad():
        state, x, outputs = model.initial_state(2), lab.x(2, 40, seed), []
        for start in range(0, 40, 2):
            y, state = model(x[:, start : start + 1], state)
            outputs.append(y[:, 0])
            if model.causal:
                y, state = model.step(x[:, start + 1], state)
                outputs.append(y)
        return torch.stack(outputs, 1)
