"""mLSTM against the paper's equations without a stabilizer, and against transformers' xLSTM."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqdemo_modern.config_xlstm import MLSTMConfig
from seqdemo_modern.mlstm import MLSTM, MLSTMBranch, read_chunk, read_one
from torch.nn import functional as F

from seqdemo.plugin import state as verbs

CLOSE = {"rtol": 0.0, "atol": 1e-9}


def drawn(seed: int, rows: int, heads: int, time: int, size: int, scale: float = 1.0) -> list[torch.Tensor]:
    """Query, key, value ``(B, N, T, D)``, logarithms of input and forget gate ``(B, N, T)``."""
    draw = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(rows, heads, time, size, generator=draw, dtype=torch.float64) for _ in range(3))
    i, f = (scale * torch.randn(rows, heads, time, generator=draw, dtype=torch.float64) for _ in range(2))
    return [q, k, v, i, F.logsigmoid(f)]


def blank(rows: int, heads: int, size: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The memory before anything is read."""
    zeros = torch.zeros(rows, heads, size, dtype=torch.float64)
    return zeros.unsqueeze(3).repeat(1, 1, 1, size), zeros, zeros[..., 0]


def plain(q, k, v, log_i, log_f, c, n):
    """Beck et al. 2024, equations 19 to 21 as they stand: no stabilizer, ``C`` is values by keys."""
    outputs = []
    for t in range(q.shape[2]):
        i, f = torch.exp(log_i[:, :, t, None]), torch.exp(log_f[:, :, t, None])
        c = f[..., None] * c + i[..., None] * torch.einsum("bnv,bnk->bnvk", v[:, :, t], k[:, :, t])
        n = f * n + i * k[:, :, t]
        weight = torch.einsum("bnk,bnk->bn", n, q[:, :, t]).abs().clamp(min=1.0)
        outputs.append(torch.einsum("bnvk,bnk->bnv", c, q[:, :, t]) / weight[..., None])
    return torch.stack(outputs, 2), c, n


@given(st.integers(0, 10**6), st.integers(1, 12), st.sampled_from([0.3, 1.0, 4.0]))
@settings(max_examples=25, deadline=None)
def test_follows_the_equations(seed, time, scale):
    """With the stabilizer taken out again, outputs and memory are those of the plain equations, chunked or not."""
    parts = drawn(seed, 2, 2, time, 3, scale)
    memory = blank(2, 2, 3)
    want, want_c, want_n = plain(*parts, memory[0], memory[1])
    h, (c, n, m) = read_chunk(memory, *parts)
    torch.testing.assert_close(h, want, **CLOSE)
    torch.testing.assert_close(torch.exp(m)[..., None, None] * c, want_c.transpose(2, 3), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(torch.exp(m)[..., None] * n, want_n, rtol=1e-9, atol=1e-9)
    for t in range(time):
        one, memory = read_one(memory, *(part[:, :, t] for part in parts))
        torch.testing.assert_close(one, want[:, :, t], **CLOSE)


@pytest.mark.parametrize("time", [1, 5, 16])
def test_agrees_with_transformers(time):
    """The recurrence is that of transformers' xLSTM, whose queries are scaled where keys are here."""
    theirs = pytest.importorskip("transformers.models.xlstm.modeling_xlstm", reason="transformers is not installed")
    if not hasattr(theirs, "mlstm_recurrent_sequence_native"):
        pytest.skip("transformers takes its xLSTM from the xlstm package here")
    q, k, v, i, log_f = drawn(1, 2, 3, time, 4)
    f = log_f - torch.log(-torch.expm1(log_f))  # back through the logistic function
    want, _ = theirs.mlstm_recurrent_sequence_native(
        q, k, v, i, f, return_last_states=True, eps=0.0, dtype_state=torch.float64
    )
    h, _ = read_chunk(blank(2, 3, 4), q, k * 4**-0.5, v, i, log_f)
    torch.testing.assert_close(h, want, **CLOSE)


@pytest.mark.parametrize("level", [-1000.0, 0.0, 1000.0])
def test_gates_of_any_size_are_finite(level):
    """Input gates whose exponential overflows or vanishes give finite outputs and gradients, chunked as stepped."""
    q, k, v, i, log_f = drawn(2, 1, 2, 9, 3, scale=30.0)
    parts = [part.requires_grad_() for part in (q, k, v, i + level, log_f)]
    memory = blank(1, 2, 3)
    h, after = read_chunk(memory, *parts)
    (h.sum() + sum(entry.sum() for entry in after)).backward()
    assert all(part.grad.isfinite().all() for part in parts)
    for t in range(9):
        one, memory = read_one(memory, *(part[:, :, t] for part in parts))
        torch.testing.assert_close(one, h[:, :, t], **CLOSE)
    for got, want in zip(memory, after, strict=True):
        torch.testing.assert_close(got, want, **CLOSE)


@pytest.mark.parametrize("chunk_size", [1, 7, 64])
def test_result_does_not_depend_on_the_chunk(chunk_size):
    """Chunks of any size give the same outputs, states and gradients, ragged rows and an incoming state included."""
    torch.manual_seed(0)
    model = MLSTM(MLSTMConfig(hidden_size=8, chunk_size=30), 5).double()
    x, lengths = torch.randn(3, 30, 5, dtype=torch.float64), torch.tensor([30, 0, 17])
    _, state = model(torch.randn(3, 4, 5, dtype=torch.float64))
    state = verbs.detach(state)
    answers = []
    for size in (30, chunk_size):
        for block in model.blocks.layers:
            block.branch.chunk_size = size
        model.zero_grad()
        y, after = model(x, state, lengths)
        y.pow(2).sum().backward()
        answers.append((y, after, [p.grad.clone() for p in model.parameters()]))
    torch.testing.assert_close(answers[0][0], answers[1][0], **CLOSE)
    assert verbs.max_difference(answers[0][1], answers[1][1]) < 1e-9
    torch.testing.assert_close(answers[0][2], answers[1][2], **CLOSE)


def test_new_forget_gates_are_nearly_open():
    """On an input of zeros the forget gates of a new model run from 0.95 to 0.998, one a head."""
    branch = MLSTMBranch(MLSTMConfig(hidden_size=8))
    _, _, named = branch.trace_step(torch.zeros(1, 8), branch.initial_state(1))
    torch.testing.assert_close(named["f"], torch.sigmoid(torch.linspace(3.0, 6.0, 4)).unsqueeze(0))


def test_a_row_of_no_positions_keeps_any_state():
    """Even a stabilizer that this model would not give goes out as it came in."""
    model = MLSTM(MLSTMConfig(hidden_size=8), 5).double()
    state = {name: -torch.rand_like(entry) for name, entry in model.initial_state(2).items()}
    _, after = model(torch.randn(2, 6, 5, dtype=torch.float64), state, torch.tensor([6, 0]))
    assert verbs.equal(verbs.select(after, [1]), verbs.select(state, [1]))
