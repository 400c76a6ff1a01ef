"""The parts of ``compare_models.py``: the shared rule, the runs, the speeds, the table and the picture."""
