"""The built-in recurrent models: torch's fused layers, and the same three written from their equations."""
