"""What is said by comparing models and settings."""

WORDS: dict[str, tuple[str, str]] = {}
