"""What the whole page says: its tabs, its header."""

WORDS = {
    "page.chat": ("Chat", "对话"),
    "page.models": ("Models", "模型"),
    "page.plugins": ("Plugins", "插件"),
    "page.other": ("中文", "English"),
}
