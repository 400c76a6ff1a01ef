"""Gradio's blocks, which do no work for what an update leaves as it was.

For each output that a handler says nothing of, gradio makes a new component and writes down all its properties, twice:
1 ms for each, of the one thread that serves every page. A reply that streams leaves three of four outputs alone twenty
times a second.
"""

from __future__ import annotations

import copy
from typing import Any

import gradio as gr

__all__ = ["Page"]


class Page(gr.Blocks):
    """Where a handler gives a dict, only what is in it is looked at."""

    async def postprocess_data(self, block_fn: Any, predictions: Any, state: Any) -> list[Any]:
        outputs = list(block_fn.outputs)
        if not isinstance(predictions, dict) or not predictions or not set(predictions) < set(outputs):
            return await super().postprocess_data(block_fn, predictions, state)
        told = [output for output in outputs if output in predictions]
        part = copy.copy(block_fn)
        part.outputs = told
        found = await super().postprocess_data(part, predictions, state)
        values = dict(zip(told, found, strict=True))
        return [values[output] if output in values else gr.skip() for output in outputs]
