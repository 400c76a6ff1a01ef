"""What comes before a problem that only English has words for."""

WORDS: dict[str, tuple[str, str]] = {}
