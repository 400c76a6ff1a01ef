"""The classification task: a recurrent reader that says which class a text belongs to."""
