"""The translation task: a recurrent encoder and decoder with attention between them."""
