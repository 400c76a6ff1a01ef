"""What is said by the notebook."""

WORDS: dict[str, tuple[str, str]] = {
    "notebook.tab": ("Notebook", "笔记本"),
    "notebook.model": ("Model of the notebook", "笔记本的模型"),
    "notebook.text": ("Text", "正文"),
    "notebook.placeholder": (
        "Write or paste anything. The model goes on at its end.",
        "写下或粘贴任意文本，模型会从末尾接着写。",
    ),
    "notebook.generate": ("Generate", "生成"),
    "notebook.generate_name": ("Generate at the end of the text (Ctrl+Enter)", "在文本末尾生成（Ctrl+Enter）"),
    "notebook.stop": ("Stop", "停止"),
    "notebook.stop_name": ("Stop (Esc)", "停止（Esc）"),
    "notebook.undo": ("Undo", "撤回"),
    "notebook.undo_name": ("Undo: take back what was last generated", "撤回：收回上一次生成的内容"),
    "notebook.redo": ("Redo", "重做"),
    "notebook.redo_name": ("Redo: have it again", "重做：恢复被撤回的内容"),
    "notebook.loading": ("Loading {name} …", "正在加载 {name}……"),
    "notebook.characters": ("{number} character|{number} characters", "{number} 个字符"),
    "notebook.tokens": ("{number} token|{number} tokens", "{number} 个词元"),
    "notebook.reading": ("reading {read} of {total} new tokens", "正在读新的词元：{read} / {total}"),
    "notebook.read": ("{number} token was new and read|{number} tokens were new and read", "新读了 {number} 个词元"),
    "notebook.generated": ("{number} token generated|{number} tokens generated", "生成了 {number} 个词元"),
    "notebook.finished": (
        "Finished, {number} token generated.|Finished, {number} tokens generated.",
        "完成，生成了 {number} 个词元。",
    ),
    "notebook.ended": (
        "The model ended the text here and wrote nothing more.",
        "模型认为文本在这里结束，没有再写任何内容。",
    ),
    "notebook.seed": ("seed {seed}", "种子 {seed}"),
    "notebook.seed_name": ("Seed {seed}. Use it for what is generated next.", "种子 {seed}。用于下一次生成。"),
    "notebook.stale": (
        "The notebook was changed in another tab. Reload this one to see that; nothing was lost.",
        "笔记本在另一个标签页中被修改了。请刷新本页查看；没有丢失任何内容。",
    ),
    "notebook.writing": (
        "The model is still writing in this notebook. Stop it first.",
        "模型还在这个笔记本里写。请先停止它。",
    ),
    "notebook.silent": (
        "The server does not answer. What you write is kept in this browser until it does.",
        "服务器没有应答。在它恢复之前，你写的内容保存在这个浏览器里。",
    ),
    "notebook.too_long": (
        "This text has {number} characters, and a notebook takes {most}. Shorten it to have it kept.",
        "这段文本有 {number} 个字符，笔记本最多容纳 {most} 个。请缩短后再保存。",
    ),
}
