"""One module for each family: how its weights are read position by position, and in whole sequences."""
