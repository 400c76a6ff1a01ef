"""How the page looks: colours, type and spacing. Only fonts that the reader's machine has."""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils import colors, sizes

from .assets import asset

__all__ = ["styles", "theme"]

_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial")
_CHINESE = ("PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC")
_MONO = ("ui-monospace", "SF Mono", "Cascadia Mono", "Consolas", "DejaVu Sans Mono")


_STYLES = (
    "page.css",
    "sidebar.css",
    "tools.css",
    "colours.css",
    "travel.css",
    "results.css",
    "models.css",
    "notebook.css",
    "compare.css",
)


def theme() -> gr.themes.Base:
    """Quiet greys and one accent, in light and in dark."""
    fonts = [gr.themes.Font(name) for name in (*_SANS, *_CHINESE, "sans-serif")]
    mono = [gr.themes.Font(name) for name in (*_MONO, *_CHINESE, "monospace")]
    look = gr.themes.Base(
        primary_hue=colors.teal,
        secondary_hue=colors.teal,
        neutral_hue=colors.stone,
        text_size=sizes.text_md,
        spacing_size=sizes.spacing_md,
        radius_size=sizes.radius_lg,
        font=fonts,
        font_mono=mono,
    )
    return look.set(
        body_background_fill="#fbfaf8",
        body_background_fill_dark="#161514",
        body_text_color="#26231f",
        body_text_color_dark="#e9e6e1",
        body_text_color_subdued="#6b655d",
        body_text_color_subdued_dark="#a29b92",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#1f1d1b",
        background_fill_secondary="#f4f2ee",
        background_fill_secondary_dark="#1a1917",
        border_color_primary="#e5e1da",
        border_color_primary_dark="#34312d",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_shadow="none",
        block_padding="0",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_title_text_weight="550",
        block_info_text_size="*text_xs",
        input_background_fill="*background_fill_primary",
        input_background_fill_dark="*background_fill_primary",
        input_border_width="1px",
        input_placeholder_color="*body_text_color_subdued",
        input_placeholder_color_dark="*body_text_color_subdued",
        input_shadow="none",
        input_shadow_focus="none",
        button_primary_background_fill="#0f766e",
        button_primary_background_fill_hover="#115e59",
        button_primary_background_fill_dark="#0f766e",
        button_primary_background_fill_hover_dark="#0b7e75",
        button_primary_text_color="#ffffff",
        button_primary_border_color="transparent",
        button_primary_border_color_dark="transparent",
        button_secondary_background_fill="transparent",
        button_secondary_background_fill_dark="transparent",
        button_secondary_background_fill_hover="*background_fill_secondary",
        button_secondary_background_fill_hover_dark="#2a2825",
        button_secondary_border_color="*border_color_primary",
        button_secondary_border_color_dark="*border_color_primary",
        slider_color="#0f766e",
        slider_color_dark="#2aa298",
        panel_background_fill="transparent",
        panel_background_fill_dark="transparent",
    )


def styles() -> str:
    """The style sheet."""
    return "".join(map(asset, _STYLES))
