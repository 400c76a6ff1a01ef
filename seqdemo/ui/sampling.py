"""The panel of everything that replies are made with: options, presets, a seed, first words."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from seqdemo.errors import SeqdemoError
from seqdemo.plugin import SamplingOptions

from .controls import controls
from .language import label
from .source import Source

__all__ = ["PRESETS", "Sampling"]

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "chat.greedy": {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0},
    "chat.careful": {"temperature": 0.5, "top_k": 0, "top_p": 0.9, "min_p": 0.0},
    "chat.balanced": {"temperature": 0.8, "top_k": 0, "top_p": 0.95, "min_p": 0.0},
    "chat.lively": {"temperature": 1.1, "top_k": 0, "top_p": 1.0, "min_p": 0.05},
}
"""Options that go together, by what they are called; what a preset does not name it leaves alone."""


class Sampling:
    """The panel, built inside the block that is open.

    Args:
        prefix: the element ids of everything in it begin with; several panels on a page have different ones.
        opened: whether it begins unfolded.
        opening: whether the first words of a reply can be given.

    Attributes:
        panel: all of it.
        inputs: what a handler needs to read the options, and the first words, by :meth:`read`.
        components: one for each option.
    """

    def __init__(self, source: Source, prefix: str = "sd", *, opened: bool = True, opening: bool = True) -> None:
        self._source = source
        self._prefix = prefix
        with gr.Accordion(
            label("chat.sampling"), open=opened, elem_id=f"{prefix}-sampling", elem_classes=["sd-sampling"]
        ) as self.panel:
            with gr.Row(elem_classes=["sd-presets"]):
                self._presets = {name: gr.Button(label(name), size="sm", min_width=0) for name in PRESETS}
                self._reset = gr.Button(
                    label("chat.reset"), size="sm", min_width=0, elem_id=f"{prefix}-reset", elem_classes=["sd-reset"]
                )
            self._opening = gr.Textbox(
                label=label("chat.opening"),
                info=label("chat.opening_about"),
                lines=1,
                max_lines=4,
                elem_id=f"{prefix}-opening",
                visible=opening,
            )
            below = {"seed": self._add_dice}
            self._options = controls(SamplingOptions, ("timeout", "exact"), below, f"{prefix}-option")
        self._by_name = {option.name: option for option in self._options}
        self.components = self._options.components
        self.inputs = [self._opening, *self.components]

    def _add_dice(self) -> None:
        self._dice = gr.Button(label("chat.dice"), size="sm", elem_id=f"{self._prefix}-dice", elem_classes=["sd-dice"])

    def wire(self, tuned: Callable[[gr.Request], str | None] | gr.Dropdown, seeds: Any = None, **quiet: Any) -> None:
        """Make the buttons work.

        Args:
            tuned: the checkpoint whose preferences hold on a page, or the component that chooses it.
            seeds: an event that brings a ``seed``, where there is one.
            quiet: arguments of every event.
        """
        for name, button in self._presets.items():
            fields = [self._by_name[field] for field in PRESETS[name]]
            shown = [field.show(PRESETS[name][field.name]) for field in fields]
            button.click(self._fixed(shown), outputs=[field.component for field in fields], **quiet)

        def reseed(event: gr.EventData) -> str:
            return str(event.seed)

        seed = self._by_name["seed"].component
        if isinstance(tuned, gr.Dropdown):
            self._reset.click(self.preferred, inputs=tuned, outputs=self.components, **quiet)
        else:
            asked = tuned

            def reset(request: gr.Request) -> list[Any]:
                return self.preferred(asked(request))

            self._reset.click(reset, outputs=self.components, **quiet)
        self._dice.click(lambda: str(secrets.randbelow(10**9)), outputs=seed, **quiet)
        if seeds is not None:
            seeds(reseed, outputs=seed, **quiet)

    def _fixed(self, shown: list[Any]) -> Callable[[], list[Any]]:
        return lambda: shown

    def read(self, held: tuple[Any, ...]) -> tuple[str, dict[str, Any]]:
        """The first words and the options, from what :attr:`inputs` hold.

        Raises:
            ConfigError: naming the first option that is not accepted.
        """
        opening, *values = held
        return str(opening or ""), self._options.values(values)

    def shown(self, options: Mapping[str, Any]) -> list[Any]:
        """What the components show for options that were given."""
        return self._options.shown(options)

    def preferred(self, name: str | None) -> list[Any]:
        """What the components show for a checkpoint."""
        try:
            return self._options.shown(self._source.preferences(name) if name else {})
        except SeqdemoError:
            return self._options.shown({})
