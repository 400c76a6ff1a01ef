"""What is said by the notebook."""

WORDS: dict[str, tuple[str, str]] = {}
