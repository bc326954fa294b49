"""Trains a small tokenizer of each kind of model that tokenizers has, on the texts of a ShareGPT file.

Those that kitoken is to count with are called NAME.fast.json.

usage: train_tokenizers.py SHAREGPT OUT      (needs: pip install tokenizers)
"""
import json
import pathlib
import sys

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SIZE = 4000


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(WORDS), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return tokenizer, trainers.BpeTrainer(vocab_size=SIZE, initial_alphabet=alphabet, special_tokens=["<|end|>"])


def byte_level_gpt2():
    tokenizer, trainer = byte_level()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer, trainer


def byte_fallback():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    return tokenizer, trainers.BpeTrainer(vocab_size=SIZE, special_tokens=special)


def wordpiece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer, trainers.WordPieceTrainer(vocab_size=SIZE, special_tokens=["[UNK]", "[CLS]", "[SEP]"])


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer, trainers.UnigramTrainer(vocab_size=SIZE, unk_token="<unk>", special_tokens=["<unk>", "</s>"])


def wordlevel():
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer, trainers.WordLevelTrainer(vocab_size=SIZE, special_tokens=["[UNK]"])


MAKERS = {
    "byte_level.fast": byte_level,
    "byte_level_gpt2": byte_level_gpt2,
    "byte_fallback": byte_fallback,
    "wordpiece": wordpiece,
    "unigram": unigram,
    "wordlevel": wordlevel,
}


def main():
    conversations = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    texts = [turn["value"] for row in conversations for turn in (row.get("conversations") or []) if isinstance(turn.get("value"), str)]
    for name, make in MAKERS.items():
        tokenizer, trainer = make()
        tokenizer.train_from_iterator(texts, trainer)
        tokenizer.save(str(pathlib.Path(sys.argv[2]) / f"{name}.json"))


if __name__ == "__main__":
    main()
