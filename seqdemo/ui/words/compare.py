"""What is said by comparing models and settings."""

WORDS: dict[str, tuple[str, str]] = {
    "compare.tab": ("Compare", "比较"),
    "compare.about": (
        "The same message to two or three models, or to one with different settings, side by side.",
        "把同一条消息发给两三个模型，或发给设置不同的同一个模型，并排比较。",
    ),
    "compare.columns": ("Columns", "栏数"),
    "compare.first": ("Model 1", "模型 1"),
    "compare.second": ("Model 2", "模型 2"),
    "compare.third": ("Model 3", "模型 3"),
    "compare.message": ("Message to all", "发给所有模型的消息"),
    "compare.placeholder": ("Write something for all of them …", "给所有模型写点什么……"),
    "compare.raw": ("Raw text, without chat templates", "原始文本，不用对话模板"),
    "compare.send": ("Compare", "比较"),
    "compare.stop": ("Stop all", "全部停止"),
    "compare.fresh": ("New", "新建"),
    "compare.view": ("Replies side by side", "并排的回复"),
    "compare.you": ("You wrote:", "你写道："),
    "compare.reply": ("Reply of {name}", "{name} 的回复"),
    "compare.named": ("{number} · {name}", "{number} · {name}"),
    "compare.ended": ("This column ended above.", "这一栏已在上面结束。"),
    "compare.nothing": ("It wrote nothing.", "什么也没有写。"),
    "compare.reading": ("reading {read} of {total} tokens", "正在读 {read} / {total} 个词元"),
    "compare.waiting": ("waiting …", "等待中……"),
    "compare.state": ("state {size}, constant", "状态 {size}，不变"),
    "compare.seed": ("seed {seed}", "种子 {seed}"),
    "compare.keep": ("Keep this one", "保留这一个"),
    "compare.keep_name": (
        "Keep this one: {name} as a conversation of the chat",
        "保留这一个：把 {name} 存为一个对话",
    ),
    "compare.open": ("Open in the chat", "在对话中打开"),
    "compare.open_name": ("Open {name} in the chat", "在对话中打开 {name}"),
    "compare.finished": ("All replies finished.", "所有回复均已完成。"),
    "compare.judging": ("Each model reads the others' replies …", "各模型正在读其他模型的回复……"),
    "compare.scores": ("How each model finds each reply", "各模型怎样看各条回复"),
    "compare.scores_about": (
        "A row's model read a column's reply where its own would stand: bits per byte, and perplexity per token. "
        "Vocabularies differ, so only bits per byte compare across models; lower is more expected.",
        "每一行的模型在自己该回复的位置读了每一列的回复：上为每字节比特数，下为每词元困惑度。"
        "词表不同，因此只有每字节比特数可以跨模型比较；越低越在意料之中。",
    ),
    "compare.reader": ("read by", "读者"),
    "compare.bits": ("{bits} bits/byte", "{bits} 比特/字节"),
    "compare.perplexity": ("perplexity {perplexity}", "困惑度 {perplexity}"),
    "compare.unread": ("cannot be read", "无法读"),
    "compare.loading": ("Loading {name} …", "正在加载 {name}……"),
    "compare.empty": (
        "The message is empty. Write something for the models to go on from.",
        "消息是空的。请写点什么，让模型接着说下去。",
    ),
    "compare.writing": (
        "Replies are still being written. Stop them first.",
        "回复还在生成中。请先停止。",
    ),
    "compare.no_models": ("Choose a model for each column.", "请为每一栏选择一个模型。"),
    "compare.all_ended": (
        "Every column has ended. Press New to begin again.",
        "每一栏都已结束。按“新建”重新开始。",
    ),
    "compare.not_kept": (
        "There is nothing in this column to keep.",
        "这一栏没有可以保留的内容。",
    ),
    "compare.kept": (
        "Kept: it is in the list of the chat now.",
        "已保留：它现在在对话列表里。",
    ),
}
