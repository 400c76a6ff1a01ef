"""Text <-> ids: bytes, characters, words and subwords. None of it imports torch."""
