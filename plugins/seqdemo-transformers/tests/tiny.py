"""Tiny randomly initialised models of every family and tiny tokenizers of every kind, made here."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

transformers.logging.set_verbosity_error()

TEXT = [
    "The time traveller was expounding a recondite matter to us.",
    "His grey eyes shone and twinkled, and his usually pale face was flushed.",
    "我爱你。Ça va bien? – naïve façade 🙂",
]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "mamba": ("MambaForCausalLM", {**SMALL, "state_size": 4}),
    "falcon_mamba": ("FalconMambaForCausalLM", {**SMALL, "state_size": 4}),
    "mamba2": (
        "Mamba2ForCausalLM",
        {**SMALL, "num_heads": 4, "head_dim": 16, "state_size": 8, "n_groups": 2, "chunk_size": 8},
    ),
    "rwkv": ("RwkvForCausalLM", {**SMALL, "context_length": 64, "rescale_every": 2}),
    "xlstm": ("xLSTMForCausalLM", {**SMALL, "hidden_size": 128, "num_heads": 2, "chunk_size": 8}),
    "recurrent_gemma": (
        "RecurrentGemmaForCausalLM",
        {
            **SMALL,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "attention_window_size": 6,
            "intermediate_size": 64,
            "lru_width": 32,
        },
    ),
}


def byte_level() -> PreTrainedTokenizerFast:
    """Byte-level BPE, in the manner of GPT-NeoX: special tokens, and one added token that is plain text."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    names = ["<|start|>", "<|end|>", "<|pad|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=names, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(TEXT, trainer)
    backend.add_tokens([AddedToken("    ", special=False)])
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|start|>", eos_token="<|end|>", pad_token="<|pad|>"
    )
    made.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    return made


def spelled(prefix: bool) -> PreTrainedTokenizerFast:
    """BPE over ``▁`` with byte fallback, in the manner of Gemma; with a space before every text, of Llama."""
    backend = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    steps = [normalizers.Prepend("▁")] if prefix else []
    backend.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    stripped = [decoders.Strip(" ", 1, 0)] if prefix else []
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *stripped]
    )
    names = ["<bos>", "<eos>", "<pad>", "<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=340, special_tokens=names, show_progress=False)
    backend.train_from_iterator(TEXT[:2], trainer)
    vocabulary = backend.get_vocab()
    layout = json.loads(backend.to_str())
    layout["added_tokens"] = [token for token in layout["added_tokens"] if not token["content"].startswith("<0x")]
    backend = Tokenizer.from_str(json.dumps(layout))
    assert backend.get_vocab() == vocabulary
    backend.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<bos>", eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerFast]] = {
    "byte-level": byte_level,
    "spelled": lambda: spelled(prefix=False),
    "spelled-prefix": lambda: spelled(prefix=True),
}


@cache
def tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """One of each kind, made once."""
    return TOKENIZERS[kind]()


def lively(model: Any, seed: int | None = 5, spread: float = 1.5) -> Any:
    """Random enough that greedy text is not one token over and over, and that every gate moves."""
    if seed is not None:
        torch.manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and "A_log" not in name and "time_mix" not in name:
                weight.normal_(std=spread * weight.shape[-1] ** -0.5)
        model.get_input_embeddings().weight.normal_(std=0.1)
    return model
