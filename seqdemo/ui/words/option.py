"""Names and descriptions of built-in options. The English ones are those of the schemas, word for word."""

WORDS: dict[str, tuple[str, str]] = {}
