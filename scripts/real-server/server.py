#!/usr/bin/env python3
"""llama.cpp's own HTTP server, out of the xllamacpp wheel. usage: server.py MODEL.gguf PORT [embeddings]"""
import signal
import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path, params.port = sys.argv[1], int(sys.argv[2])
params.hostnames = ["127.0.0.1"]
params.model_alias = {"tiny-qwen3"}
params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 32768, 16, 1
params.cont_batching = params.endpoint_metrics = params.warmup = True
if sys.argv[3:] == ["embeddings"]:
    params.embedding = True
    params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
server = xllamacpp.Server(params)
print("listening on", server.listening_address, flush=True)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
