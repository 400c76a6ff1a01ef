"""What the panel about a token says."""

WORDS = {
    "inspector.token": ("Token", "Token"),
    "inspector.hint": (
        "Choose any word of a reply to see what else the model could have said there, and how likely it was.",
        "点击回复中的任意一处，看看模型在那里还可能说什么，可能性有多大。",
    ),
    "inspector.previous": ("Previous token", "上一个 token"),
    "inspector.next": ("Next token", "下一个 token"),
    "inspector.close": ("Close", "关闭"),
    "inspector.probability": ("probability", "概率"),
    "inspector.entropy": ("entropy", "熵"),
    "inspector.bits": ("{bits} bits", "{bits} 比特"),
    "inspector.position": ("position", "位置"),
    "inspector.chosen": ("chosen", "选中"),
    "inspector.likeliest": ("Likeliest tokens here", "这里最可能的 token"),
    "inspector.column_token": ("token", "token"),
    "inspector.column_model": ("model", "模型"),
    "inspector.column_ruled": ("after rules", "采样后"),
    "inspector.unrecorded": (
        "No other tokens were recorded here: this text was written, or “alternatives” was 0.",
        "这里没有记录其他 token：这段文字是写下的，或者“候选数”为 0。",
    ),
}
