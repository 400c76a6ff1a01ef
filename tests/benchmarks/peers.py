"""Other engines, one token at a time: what ``decode.py`` beside this sets next to seqdemo's own steppers.

ONNX Runtime and OpenVINO run one step of the same network, a graph of LSTM nodes: ONNX Runtime in 32 bits and after its
own dynamic quantisation, OpenVINO in 32 bits and, where the CPU has it, in bfloat16, its default there. ``rwkv`` runs
no LSTM but RWKV-7, with random weights, as many as the network has (embedding included), so that in one precision the
bytes are the same.

Shape letters: ``V`` vocabulary, ``C`` width of a model, ``H`` hidden.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["PEERS", "Peer", "Step", "onnx_runtime", "rwkv_weights", "shape"]

HEAD = 64
"""Width of a head of RWKV-7."""

RANKS = {"w": 64, "a": 64, "v": 32, "g": 128}
"""Inner widths of RWKV-7's pairs of narrow matrices."""

Step = Callable[[int], Any]
"""Reads a token, gives logits ``(V,)`` float32 of the next one."""


class Peer(NamedTuple):
    """Another engine.

    Attributes:
        name: in the table.
        build: of a network and a number of threads. An ``ImportError`` says what is not installed.
        same: whether it computes the network itself.
    """

    name: str
    build: Callable[[Any, int], Step]
    same: bool = True


# --- the same network --------------------------------------------------------------------------------------------


def onnx_file(network: Any, folder: Path) -> Path:
    """One step of the network as a graph: ``id`` ``(1, 1)``, and ``h{k}``, ``c{k}`` ``(1, 1, H)`` in and out."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    hidden, vocabulary = network.lstm.hidden_size, network.output.out_features
    constants: dict[str, Any] = {
        "E": network.embedding.weight,
        "O": network.output.weight.t().contiguous(),
        "ob": network.output.bias,
    }
    nodes = [helper.make_node("Gather", ["E", "id"], ["x0"])]
    inputs = [helper.make_tensor_value_info("id", TensorProto.INT64, [1, 1])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, vocabulary])]
    for k in range(network.lstm.num_layers):
        # torch orders the gates i, f, g, o; ONNX i, o, f, c.
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            i, f, g, o = getattr(network.lstm, f"{kind}_l{k}").chunk(4)
            constants[f"{kind}{k}"] = torch.cat([i, o, f, g])
        constants[f"W{k}"] = constants.pop(f"weight_ih{k}")[None]
        constants[f"R{k}"] = constants.pop(f"weight_hh{k}")[None]
        constants[f"B{k}"] = torch.cat([constants.pop(f"bias_ih{k}"), constants.pop(f"bias_hh{k}")])[None]
        names = [f"x{k}", f"W{k}", f"R{k}", f"B{k}", "", f"h{k}", f"c{k}"]
        nodes.append(helper.make_node("LSTM", names, [f"y{k}", f"h{k}_", f"c{k}_"], hidden_size=hidden))
        nodes.append(helper.make_node("Squeeze", [f"y{k}", "one"], [f"x{k + 1}"]))
        for entry in ("h", "c"):
            inputs.append(helper.make_tensor_value_info(f"{entry}{k}", TensorProto.FLOAT, [1, 1, hidden]))
            outputs.append(helper.make_tensor_value_info(f"{entry}{k}_", TensorProto.FLOAT, [1, 1, hidden]))
    nodes.append(helper.make_node("Squeeze", [f"x{network.lstm.num_layers}", "zero"], ["top"]))
    nodes.append(helper.make_node("MatMul", ["top", "O"], ["product"]))
    nodes.append(helper.make_node("Add", ["product", "ob"], ["logits"]))
    arrays = {name: value.detach().numpy() for name, value in constants.items()}
    arrays |= {"one": np.array([1], dtype=np.int64), "zero": np.array([0], dtype=np.int64)}
    graph = helper.make_graph(
        nodes, "step", inputs, outputs, [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    )
    place = folder / "step.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), place)
    return place


def stepping(network: Any, names: list[str], run: Callable[[dict[str, Any]], Any]) -> Step:
    """Steps of a graph as :func:`onnx_file` writes it.

    Args:
        names: of its outputs, the logits first.
        run: inputs by name -> outputs in the order of ``names``, in memory of their own.
    """
    hidden, layers = network.lstm.hidden_size, network.lstm.num_layers
    feed = {f"{entry}{k}": np.zeros((1, 1, hidden), np.float32) for k in range(layers) for entry in ("h", "c")}

    def step(token: int) -> Any:
        nonlocal feed
        logits, *state = run({**feed, "id": np.array([[token]])})
        feed = {name.rstrip("_"): array for name, array in zip(names[1:], state, strict=True)}
        return logits[0]

    return step


def onnx_runtime(network: Any, threads: int, integers: bool) -> Step:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        place = onnx_file(network, Path(folder))
        if integers:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            quantised = place.with_name("step.int8.onnx")
            quantize_dynamic(place, quantised, weight_type=QuantType.QInt8)
            place = quantised
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        session = onnxruntime.InferenceSession(place, options, providers=["CPUExecutionProvider"])
    names = [out.name for out in session.get_outputs()]
    return stepping(network, names, lambda feed: session.run(names, feed))


def openvino(network: Any, threads: int, precision: str) -> Step:
    import openvino as ov

    options = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        # By itself it computes in bfloat16 wherever the CPU can.
        "INFERENCE_PRECISION_HINT": precision,
    }
    with tempfile.TemporaryDirectory() as folder:
        core = ov.Core()
        compiled = core.compile_model(core.read_model(onnx_file(network, Path(folder))), "CPU", options)
    request = compiled.create_infer_request()
    names = [output.get_any_name() for output in compiled.outputs]
    return stepping(network, names, lambda feed: request.infer(feed, share_inputs=True).values())


# --- models of equal bytes ---------------------------------------------------------------------------------------


def shape(network: Any) -> tuple[int, int]:
    """Layers and width of an RWKV-7 with as many weights as the network, as near as widths of whole heads come.

    The width is 32 to 160 times the layers, as in published models, if any such comes within a twentieth.
    """
    wanted, vocabulary = sum(p.numel() for p in network.parameters()), network.output.out_features
    found: list[tuple[bool, float, int, int]] = []
    for width in range(HEAD, 4096, HEAD):
        ends, layer = 2 * vocabulary * width, 12 * width * width + 2 * sum(RANKS.values()) * width
        layers = max(1, round((wanted - ends) / layer))
        gap = abs(ends + layers * layer - wanted) / wanted
        found.append((not (gap < 0.05 and 32 <= width / layers <= 160), gap, layers, width))
    _, _, layers, width = min(found)
    return layers, width


def rwkv_weights(layers: int, width: int, vocabulary: int) -> dict[str, Tensor]:
    """A checkpoint of RWKV-7 (Peng et al. 2025) with random weights, as the package ``rwkv`` reads it."""
    generator, weights = torch.Generator().manual_seed(0), dict[str, Tensor]()

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator).mul_(size[-1] ** -0.5)

    def norm(name: str) -> None:
        weights[f"{name}.weight"], weights[f"{name}.bias"] = torch.ones(width), torch.zeros(width)

    weights["emb.weight"], weights["head.weight"] = normal(vocabulary, width), normal(vocabulary, width)
    norm("ln_out")
    norm("blocks.0.ln0")
    for k in range(layers):
        block, attention, feed = f"blocks.{k}.", f"blocks.{k}.att.", f"blocks.{k}.ffn."
        for name in (f"{block}ln1", f"{block}ln2", f"{attention}ln_x"):
            norm(name)
        for name in ("x_r", "x_w", "x_k", "x_v", "x_a", "x_g", "w0", "a0", "v0"):
            weights[attention + name] = normal(1, 1, width)
        for name, rank in RANKS.items():
            weights[f"{attention}{name}1"], weights[f"{attention}{name}2"] = normal(width, rank), normal(rank, width)
        weights[f"{attention}k_k"] = weights[f"{attention}k_a"] = torch.ones(1, 1, width)
        weights[f"{attention}r_k"] = normal(width // HEAD, HEAD)
        for name in ("receptance", "key", "value", "output"):
            weights[f"{attention}{name}.weight"] = normal(width, width)
        weights[f"{feed}x_k"] = normal(1, 1, width)
        weights[f"{feed}key.weight"] = normal(4 * width, width)
        weights[f"{feed}value.weight"] = normal(width, 4 * width)
    return weights


def rwkv(network: Any, threads: int, precision: str) -> Step:
    os.environ["RWKV_V7_ON"] = "1"
    with redirect_stdout(sys.stderr):  # the package prints as it is imported and as it loads
        from rwkv.model import RWKV

        layers, width = shape(network)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "model"
            torch.save(rwkv_weights(layers, width, network.output.out_features), place.with_suffix(".pth"))
            model = RWKV(model=str(place), strategy=f"cpu {precision}")
    count = sum(int(one.numel()) for one in model.z.values())
    print(f"  rwkv: {layers} layers of width {width}, {count:,} weights", file=sys.stderr)
    state: Any = None

    def step(token: int) -> Any:
        nonlocal state
        logits, state = model.forward([token], state)
        return logits.float().numpy()

    return step


PEERS = (
    Peer("ONNX Runtime fp32", partial(onnx_runtime, integers=False)),
    Peer("ONNX Runtime int8", partial(onnx_runtime, integers=True)),
    Peer("OpenVINO fp32", partial(openvino, precision="f32")),
    Peer("OpenVINO bf16", partial(openvino, precision="bf16")),
    Peer("rwkv fp32: RWKV-7, equal bytes", partial(rwkv, precision="fp32"), same=False),
    Peer("rwkv bf16: RWKV-7, equal bytes", partial(rwkv, precision="bf16"), same=False),
)
