"""Arguments that the page's events share."""

from __future__ import annotations

from typing import Any

__all__ = ["quiet", "streaming"]

_LISTENERS = 64


def quiet() -> dict[str, Any]:
    """Of every event: no progress of gradio's own, on no component, and no endpoint of the API.

    Hidden progress is not enough. After each update of each event gradio's script sets the progress anew in every
    component that was ever the output of any event, and copies each one's properties for it: two fifths of
    all scripting while a reply streams.
    """
    return {"show_progress": "hidden", "show_progress_on": [], "api_visibility": "private"}


def streaming(queue: str) -> dict[str, Any]:
    """Of events that go on: one queue for all of them, so that its limit counts listeners, whatever they clicked.

    Args:
        queue: its name.
    """
    return {**quiet(), "concurrency_id": queue, "concurrency_limit": _LISTENERS}
