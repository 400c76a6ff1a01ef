"""What is said by the Models tab."""

WORDS: dict[str, tuple[str, str]] = {}
