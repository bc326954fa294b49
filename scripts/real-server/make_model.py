#!/usr/bin/env python3
"""Writes a two-layer Qwen3 model with random weights and the real Qwen3 tokenizer, for fast runs on a real server.

usage: make_model.py TOKENIZER_DIR OUT.gguf [FEED_FORWARD]      (a greater FEED_FORWARD, a multiple of 32, makes it slower)
"""
import json
import sys

import gguf
import numpy

HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_SIZE, VOCABULARY = 64, 2, 2, 1, 32, 151936


def main():
    folder, out = sys.argv[1:3]
    feed_forward = int(sys.argv[3]) if len(sys.argv) > 3 else 128
    with open(f"{folder}/tokenizer.json", encoding="utf-8") as f:
        tokenizer = json.load(f)
    with open(f"{folder}/tokenizer_config.json", encoding="utf-8") as f:
        config = json.load(f)
    tokens = [f"[PAD{i}]".encode() for i in range(VOCABULARY)]
    types = [gguf.TokenType.UNUSED] * VOCABULARY
    for token, i in tokenizer["model"]["vocab"].items():
        tokens[i], types[i] = token.encode(), gguf.TokenType.NORMAL
    for added in tokenizer["added_tokens"]:
        tokens[added["id"]] = added["content"].encode()
        types[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED

    model = gguf.GGUFWriter(out, "qwen3")
    model.add_name("tiny-random-qwen3")
    model.add_context_length(8192)
    model.add_embedding_length(HIDDEN)
    model.add_block_count(LAYERS)
    model.add_feed_forward_length(feed_forward)
    model.add_head_count(HEADS)
    model.add_head_count_kv(KV_HEADS)
    model.add_key_length(HEAD_SIZE)
    model.add_value_length(HEAD_SIZE)
    model.add_layer_norm_rms_eps(1e-6)
    model.add_rope_freq_base(1e6)
    model.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    model.add_tokenizer_model("gpt2")
    model.add_tokenizer_pre("qwen2")
    model.add_token_list(tokens)
    model.add_token_types(types)
    model.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]])
    model.add_eos_token_id(151645)
    model.add_pad_token_id(151643)
    model.add_bos_token_id(151643)
    model.add_add_bos_token(False)
    model.add_chat_template(config["chat_template"])

    random = numpy.random.default_rng(0)

    def ones(name, *shape):
        model.add_tensor(name, numpy.ones(shape, numpy.float32))

    def noise(name, *shape):
        weights = random.standard_normal(shape, dtype=numpy.float32) * 0.05
        kind = gguf.GGMLQuantizationType.Q8_0
        model.add_tensor(name, gguf.quants.quantize(weights, kind), raw_dtype=kind)

    noise("token_embd.weight", VOCABULARY, HIDDEN)
    ones("output_norm.weight", HIDDEN)
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        ones(f"{block}.attn_norm.weight", HIDDEN)
        ones(f"{block}.ffn_norm.weight", HIDDEN)
        ones(f"{block}.attn_q_norm.weight", HEAD_SIZE)
        ones(f"{block}.attn_k_norm.weight", HEAD_SIZE)
        noise(f"{block}.attn_q.weight", HEADS * HEAD_SIZE, HIDDEN)
        noise(f"{block}.attn_k.weight", KV_HEADS * HEAD_SIZE, HIDDEN)
        noise(f"{block}.attn_v.weight", KV_HEADS * HEAD_SIZE, HIDDEN)
        noise(f"{block}.attn_output.weight", HIDDEN, HEADS * HEAD_SIZE)
        noise(f"{block}.ffn_gate.weight", feed_forward, HIDDEN)
        noise(f"{block}.ffn_up.weight", feed_forward, HIDDEN)
        noise(f"{block}.ffn_down.weight", HIDDEN, feed_forward)
    model.write_header_to_file()
    model.write_kv_data_to_file()
    model.write_tensors_to_file()
    model.close()


if __name__ == "__main__":
    main()
