"""What work on many inputs says."""

WORDS = {
    "batch.paste": ("Texts", "文本"),
    "batch.paste_info": ("One in each line.", "每行一条。"),
    "batch.file": (
        "or a file: CSV, TSV, JSONL, or TXT with a text in each line",
        "或一个文件：CSV、TSV、JSONL，或每行一条文本的 TXT",
    ),
    "batch.column": ("Column of the texts", "文本所在的列"),
    "batch.start": ("Start", "开始"),
    "batch.stop": ("Stop", "停止"),
    "batch.csv": ("Download CSV", "下载 CSV"),
    "batch.jsonl": ("Download JSONL", "下载 JSONL"),
    "batch.rows": ("{name}: {number} row.|{name}: {number} rows.", "{name}：{number} 行。"),
    "batch.no_column": (
        "It has no column “{column}”: choose which one holds the texts.",
        "其中没有“{column}”列：请选择哪一列是文本。",
    ),
    "batch.nothing": (
        "There is nothing to work on. Paste texts, one in each line, or choose a file.",
        "没有可处理的内容。请粘贴文本，每行一条，或选择一个文件。",
    ),
    "batch.which_column": (
        "Choose the column that holds the texts. There are: {columns}.",
        "请选择文本所在的列。现有：{columns}。",
    ),
    "batch.needs_columns": (
        "This task's inputs are more than one text: choose a CSV or JSONL file with named columns.",
        "此任务的输入不止一段文本：请选择带列名的 CSV 或 JSONL 文件。",
    ),
    "batch.ending": (
        "{name} is of no kind that is read here. There are: {endings}.",
        "无法读取 {name} 这种文件。支持：{endings}。",
    ),
    "batch.large": (
        "{name} has {size} MB, and the page takes {most} at most. Split it, or use seqdemo predict --data in a shell.",
        "{name} 有 {size} MB，页面最多接受 {most} MB。请拆分文件，或在命令行使用 seqdemo predict --data。",
    ),
    "batch.running": (
        "Work of yours is running in this tab already. Stop it, or wait for its end.",
        "此标签页中已有你的任务在运行。请停止它，或等它结束。",
    ),
    "batch.progress": ("Progress", "进度"),
    "batch.done": ("{done} of {total}", "{done} / {total}"),
    "batch.speed": ("{speed} per second", "每秒 {speed} 条"),
    "batch.wrong": ("{number} could not be read|{number} could not be read", "{number} 条无法处理"),
    "batch.stopped": ("stopped; what is done is kept", "已停止；已完成的部分已保留"),
    "batch.blank": ("empty", "空"),
    "batch.results": ("Results", "结果"),
    "batch.number": ("Row", "行"),
    "batch.text": ("Text", "文本"),
    "batch.label": ("Label", "类别"),
    "batch.probability": ("Probability", "概率"),
    "batch.translation": ("Translation", "译文"),
    "batch.score": ("Score", "得分"),
    "batch.result": ("Result", "结果"),
    "batch.pages": ("Pages", "页"),
    "batch.range": ("{start}–{end} of {total}", "第 {start}–{end} 条，共 {total} 条"),
    "batch.first": ("First page", "首页"),
    "batch.before": ("Previous page", "上一页"),
    "batch.after": ("Next page", "下一页"),
    "batch.last": ("Last page", "末页"),
}
