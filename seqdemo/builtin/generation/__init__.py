"""The generation task: a recurrent language model that continues text and holds conversations."""
