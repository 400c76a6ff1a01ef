"""What the Plugins tab says."""

WORDS = {
    "plugins.title": ("Plugins", "插件"),
    "plugins.again": ("Scan again", "重新扫描"),
    "plugins.ok": ("works", "正常"),
    "plugins.slow": ("works, slow to list", "正常，列出较慢"),
    "plugins.warning": ("works, with a warning", "正常，有警告"),
    "plugins.failed": ("failed", "失败"),
    "plugins.nothing": ("It announces nothing.", "它没有注册任何东西。"),
    "plugins.imports": ("Listing it imports {names}, which takes a while.", "列出它时会导入 {names}，因此较慢。"),
    "plugins.not_here": ("Scanning again needs an admin's login here.", "在这里重新扫描需要管理员登录。"),
    "plugins.kind.models": ("models", "模型"),
    "plugins.kind.tokenizers": ("tokenizers", "分词器"),
    "plugins.kind.tasks": ("tasks", "任务"),
    "plugins.kind.loaders": ("loaders", "加载器"),
    "plugins.kind.steppers": ("steppers", "步进器"),
    "plugins.traceback": ("Traceback", "错误追踪"),
    "plugins.all_work": ("{number} plugin, all work.|{number} plugins, all work.", "{number} 个插件，全部正常。"),
    "plugins.some_failed": (
        "{number} plugin, {failed} failed.|{number} plugins, {failed} failed.",
        "{number} 个插件，{failed} 个失败。",
    ),
}
