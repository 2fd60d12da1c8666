"""The fuzzer: small real files of every kind srvid reads, damaged on purpose, and what becomes of them.

    python -m tests.fuzz --count 30000 --journal fuzz.jsonl     goes on where the journal ends
    python -m tests.fuzz --journal fuzz.jsonl --table           the table of docs/fuzzing.md
    python -m tests.fuzz --case 1234 --keep DIR                 one case again, its folder kept

seeds       the small files, made by code: containers, images, manifests, requests
model_seeds the models among them
mutations   how bytes, JSON and ONNX graphs are damaged
cases       number → seed, mutation and command: the same for ever with one --seed
sandbox     one case in a forked child with limits of time and memory
outcomes    what the case became: kept, refused, or one of the eight ways to fail
judge       a second opinion on what was kept, from other decoders
"""
