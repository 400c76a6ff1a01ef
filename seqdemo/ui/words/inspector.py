"""What the panel about a token says."""

WORDS = {
    "inspector.token": ("Token", "词元"),
    "inspector.hint": (
        "Choose any word of a reply to see what else the model could have said there, and how likely it was.",
        "点击回复中的任意一处，看看模型在那里还可能说什么，可能性有多大。",
    ),
    "inspector.previous": ("Previous token", "上一个词元"),
    "inspector.next": ("Next token", "下一个词元"),
    "inspector.close": ("Close", "关闭"),
    "inspector.probability": ("probability", "概率"),
    "inspector.entropy": ("entropy", "熵"),
    "inspector.bits": ("{bits} bits", "{bits} 比特"),
    "inspector.position": ("position", "位置"),
    "inspector.chosen": ("chosen", "选中"),
    "inspector.likeliest": ("Likeliest tokens here", "这里最可能的词元"),
    "inspector.column_token": ("token", "词元"),
    "inspector.column_model": ("model", "模型"),
    "inspector.column_ruled": ("after rules", "采样后"),
    "inspector.column_on": ("go on with it", "从这里继续"),
    "inspector.surprise": ("surprise", "意外程度"),
    "inspector.on_name": ("Go on from here with {token}", "从这里换成 {token} 继续"),
    "inspector.on_hint": (
        "↳ goes on from here with that token, as a new version of the reply.",
        "↳ 换成那个词元，从这里继续，成为这条回复的一个新版本。",
    ),
    "inspector.stand": ("Stand here", "回到这里"),
    "inspector.about": (
        "Go back to the state after this token; what follows it stays in the map",
        "回到这个词元之后的状态；后面的内容仍留在对话图中",
    ),
    "inspector.unrecorded": (
        "No other tokens were recorded here: the sampling option “alternatives” was 0, or the text was searched for.",
        "这里没有记录其他词元：采样选项“候选数”为 0，或者这段文字是搜索得到的。",
    ),
}
