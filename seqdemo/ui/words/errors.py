"""Problems of the SDK, whose own line is English: in Chinese a few words say first what it is about."""

WORDS = {
    "errors.busy": ("{reason}", "现在忙不过来，请稍后再试。{reason}"),
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
    "errors.disk": (
        "The disk is full. Free some space and try again; what was kept before is safe.",
        "磁盘已满。请腾出一些空间再试；之前保存的都还在。",
    ),
    "errors.inside": (
        "Something went wrong inside ({kind}: {reason}). The terminal shows more.",
        "内部出错（{kind}：{reason}）。终端里有更多信息。",
    ),
}
