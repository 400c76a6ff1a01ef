"""Problems of the SDK, whose own line is English: in Chinese the commonest are said as a whole, and of the others a few
words say first what they are about."""

WORDS = {
    "errors.busy": (
        "The engine is busy: too many requests are running or waiting. Try again when one has finished.",
        "现在忙不过来：运行和等待的任务太多。请等其中一个结束后再试。",
    ),
    "errors.checkpoint": ("{reason}", "检查点不能用。{reason}"),
    "errors.config": ("{reason}", "有一个选项不合规则。{reason}"),
    "errors.data": ("{reason}", "这份数据不能照原样使用。{reason}"),
    "errors.session": ("{reason}", "在这里做不到。{reason}"),
    "errors.stale": (
        "This conversation has gone on in another tab. Reload it here to see that; nothing was lost.",
        "这个对话已在另一个标签页里继续。请刷新来看；什么都没有丢。",
    ),
    "errors.store": ("{reason}", "对话的存储出了问题；已经保存的都还在。{reason}"),
    "errors.tokenizer": ("{reason}", "模型读不了这段文字。{reason}"),
    "errors.other": ("{reason}", "没有成功。{reason}"),
    "errors.locked": (
        "The conversations cannot be written: another program is writing to them. Try again in a moment.",
        "另一个程序正在写入对话的存储。请稍后再试；已经保存的都还在。",
    ),
    "errors.disk": (
        "The disk is full. Free some space and try again; what was kept before is safe.",
        "磁盘已满。请腾出一些空间再试；之前保存的都还在。",
    ),
    "errors.inside": (
        "Something went wrong inside ({kind}: {reason}). The terminal shows more.",
        "内部出错（{kind}：{reason}）。终端里有更多信息。",
    ),
}
