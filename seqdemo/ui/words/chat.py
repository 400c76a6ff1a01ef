"""What is said around a conversation: the composer, the status strip, notices, sampling."""

WORDS = {
    "chat.model": ("Model", "模型"),
    "chat.message": ("Message", "消息"),
    "chat.placeholder": ("Write something …", "写点什么……"),
    "chat.send": ("Send", "发送"),
    "chat.stop": ("Stop", "停止"),
    "chat.gone": (
        "The server was started again. Reload the page to go on; everything that was said is kept.",
        "服务器已重新启动。请刷新页面后继续；说过的话都还在。",
    ),
    "chat.loading": ("Loading {name} …", "正在加载 {name}……"),
    "chat.reload": ("Reload", "刷新"),
    "chat.no_model": (
        "There is no model to send this to. Train one first.",
        "没有可以对话的模型。请先训练一个。",
    ),
    "chat.empty": (
        "The message is empty. Write something for the model to go on from.",
        "消息是空的。请写点什么，让模型接着说下去。",
    ),
    "chat.forked": (
        "This is a new conversation; the other one stays as it was.",
        "这是一个新对话；原来的对话保持不变。",
    ),
    "chat.choose": ("Choose a model", "选择一个模型"),
    "chat.nothing": ("Nothing to talk to yet", "还没有可以对话的模型"),
    "chat.train": (
        "No generator was found. Train one on any text, then reload this page:",
        "没有找到生成器。用任意文本训练一个，然后刷新本页：",
    ),
    "chat.read_only": (
        "This conversation can only be read here. {reason}",
        "这个对话在这里只能阅读。{reason}",
    ),
    "chat.no_checkpoint": (
        "This conversation can only be read here: its model {name} is not on disk any more. Put its folder back and "
        "reload the page, or begin a new chat with another model.",
        "这个对话在这里只能阅读：它的模型 {name} 已不在磁盘上。请把模型的文件夹放回原处并刷新页面，"
        "或用另一个模型开始新对话。",
    ),
    "chat.no_reply": (
        "There is no reply yet to make again. Send a message first.",
        "还没有可以重新生成的回复。请先发送一条消息。",
    ),
    "chat.rebuilding": (
        "Its state was let go: reading it again, {read} of {total} tokens …",
        "这里的状态已被清除：正在重新读取，已读 {read} / {total} 个词元……",
    ),
    "chat.no_start": (
        "There is nothing yet to go on from. Send a message first.",
        "还没有可以续写的内容。请先发送一条消息。",
    ),
    "chat.no_undo": ("There is nothing to take back.", "没有可以撤回的内容。"),
    "chat.no_message": (
        "There is no such message here any more. Reload the page.",
        "这里已经没有这条消息。请刷新页面。",
    ),
    "chat.writing": ("A reply is still being written. Stop it first.", "回复还在生成中。请先停止它。"),
    "chat.closed": ("This conversation cannot be gone on with.", "这个对话不能继续。"),
    "chat.reading": ("reading", "正在读"),
    "chat.reading_of": ("{read} of {total} tokens", "{read} / {total} 个词元"),
    "chat.read": ("read", "已读"),
    "chat.read_about": ("Everything the state has taken in", "状态读过的全部内容"),
    "chat.generated": ("generated", "生成"),
    "chat.tokens": ("{number} token|{number} tokens", "{number} 个词元"),
    "chat.speed": ("speed", "速度"),
    "chat.per_second": ("{speed} tokens/s", "{speed} 词元/秒"),
    "chat.state": ("state", "状态"),
    "chat.constant": ("{size}, constant", "{size}，不变"),
    "chat.constant_about": (
        "The same size after 10 tokens and after 1,000,000",
        "读了 10 个词元和读了 1,000,000 个词元之后一样大",
    ),
    "chat.on": ("on", "设备"),
    "chat.sampling": ("Sampling", "采样"),
    "chat.greedy": ("Greedy", "贪心"),
    "chat.careful": ("Careful", "谨慎"),
    "chat.balanced": ("Balanced", "均衡"),
    "chat.lively": ("Lively", "活泼"),
    "chat.reset": ("Reset", "重置"),
    "chat.opening": ("Start the reply with", "回复的开头"),
    "chat.opening_about": (
        "The reply begins with these words, and goes on from them.",
        "回复以这些字开头，并接着往下写。",
    ),
    "chat.dice": ("⚄ New seed", "⚄ 换种子"),
}
