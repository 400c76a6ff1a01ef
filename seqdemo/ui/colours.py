"""The switch that colours replies by how likely their tokens were, and what its shades mean."""

from __future__ import annotations

import gradio as gr

from .assets import script

__all__ = ["colours"]

_TEMPLATE = """
<fieldset class="sd-colours">
  <legend class="sd-hidden" data-say="colours.name"></legend>
  <span class="sd-colours-name" aria-hidden="true" data-say="colours.label"></span>
  <label><input type="radio" name="sd-colours" value="" checked><span data-say="colours.off"></span></label>
  <label><input type="radio" name="sd-colours" value="chance"><span data-say="colours.chance"></span></label>
  <label><input type="radio" name="sd-colours" value="surprise"><span data-say="colours.surprise"></span></label>
</fieldset>
<div class="sd-shades" role="group" data-say-aria-label="colours.legend" hidden></div>
"""


def colours() -> gr.HTML:
    """The component. All of it happens in the browser, by a class of the document; the choice is kept there."""
    return gr.HTML(
        value="",
        html_template=_TEMPLATE,
        js_on_load=script("shades.js", "colours.js"),
        apply_default_css=False,
        elem_id="sd-colours",
    )
