"""What a reader of any kind meets on a page: names of controls, and contrast."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8")
HAN = re.compile(r"[\u4e00-\u9fff]")
USED = {
    "button", "checkbox", "combobox", "link", "listbox", "menuitem", "option", "radio", "searchbox", "slider",
    "spinbutton", "switch", "tab", "textbox", "treeitem", "DisclosureTriangle",
}  # fmt: skip
GRADIOS = re.compile("(number input|range slider) for (?=.)")
"""What gradio itself puts before the name of a slider, in every language."""


def controls(page: Any) -> list[tuple[str, str]]:
    """Role and name of everything on show that can be used, as assistive technology is told."""
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    found = [
        (node["role"]["value"], GRADIOS.sub("", node.get("name", {}).get("value", "").strip()))
        for node in tree
        if not node.get("ignored") and node["role"]["value"] in USED
    ]
    assert found
    return found


def nameless(page: Any) -> list[str]:
    """Roles of controls without a name."""
    return [role for role, name in controls(page) if not name]


def foreign(page: Any, data: set[str]) -> list[tuple[str, str]]:
    """On a Chinese page, controls whose names have words and nothing Chinese; ``data`` are names in any language."""
    named = [one for one in controls(page) if not HAN.search(one[1]) and re.search("[A-Za-z]{2}", one[1])]
    return [one for one in named if one[1] not in data]


def unreadable(page: Any) -> list[str]:
    """Texts that differ from their background by less than WCAG's 4.5 : 1, or 3 : 1 where they are large."""
    result = page.evaluate(CONTRAST)
    assert result["seen"] > 5
    return list(result["found"])
