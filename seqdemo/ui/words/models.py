"""What is said by the Models tab."""

WORDS: dict[str, tuple[str, str]] = {
    "models.in_use": (
        "{name} is in use: something runs on it. Stop that first, or wait for its end.",
        "{name} 正在使用中：有任务在它上面运行。请先停止，或等它结束。",
    ),
}
