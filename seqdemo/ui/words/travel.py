"""What the map of a conversation says."""

WORDS = {
    "travel.open": ("Map", "对话图"),
    "travel.about": ("All that was said in this conversation, in every version", "这个对话中说过的一切，包括每个版本"),
    "travel.name": ("Map of this conversation", "这个对话的图"),
    "travel.title": ("Map", "对话图"),
    "travel.close": ("Close", "关闭"),
    "travel.hint": (
        "Choose a message to stand there again. ⇄ compares two of them.",
        "选择一条消息，回到那里。⇄ 比较其中两条。",
    ),
    "travel.beginning": ("Beginning", "开头"),
    "travel.you": ("You", "你"),
    "travel.model": ("Model", "模型"),
    "travel.empty": ("Nothing was said yet.", "还没有说过什么。"),
    "travel.after": ("from token {at} of {tokens}", "从第 {at} 个词元起（共 {tokens} 个）"),
    "travel.tokens_of": ("{number} token|{number} tokens", "{number} 个词元"),
    "travel.here": ("you are here", "你在这里"),
    "travel.inside": (
        "you are here, after {at} of {tokens} tokens",
        "你在这里，第 {at} 个词元之后（共 {tokens} 个）",
    ),
    "travel.compare": ("Compare with another message", "与另一条消息比较"),
    "travel.choose": ("Choose ⇄ of the message to compare with.", "请选择另一条消息的 ⇄ 来比较。"),
    "travel.unreachable": ("The server does not answer. Reload the page.", "服务器没有应答。请刷新页面。"),
    "travel.beside": ("Two branches", "两个分支"),
    "travel.common": (
        "Both have the first {number} token in common.|Both have the first {number} tokens in common.",
        "两者共有最前面的 {number} 个词元。",
    ),
    "travel.nothing_common": (
        "They have nothing in common: they part at the beginning.",
        "两者没有共同部分：从开头就分开了。",
    ),
    "travel.nothing": (
        "Nothing of its own: the other one goes on from here.",
        "没有自己的内容：另一个分支从这里继续。",
    ),
    "travel.first": ("parts with", "分开处"),
    "travel.tokens": ("tokens of replies", "回复的词元数"),
    "travel.logprob": ("log-probability", "对数概率"),
    "travel.perplexity": ("perplexity", "困惑度"),
    "travel.bits": ("bits per token", "每个词元的比特数"),
}
