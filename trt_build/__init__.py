"""ONNX becomes FP16 TensorRT engines: lower, check, compile, keep.

    forms        which nodes of a graph may be FP16: three ways, the leanest first
    fp16         float32 graph → strongly typed FP16 graph
    byte_planes  16-bit planes → byte pairs (TensorRT has no UINT16)
    check        FP16 against FP32 on real pictures: the leanest form that passes, or layers that go back
    build        graph → engine, with progress and Ctrl-C
    store        engines and sidecars on disk
    ensure       all of it in order: the engine of a graph, found or built
    plan_tile    the largest tile whose engine fits a memory budget
    opener       `open_tensorrt`: a backend with this builder inside, for floor 3

Importing this package imports nothing heavy.
ahead        engines before they are needed: the graphs `srvid` will ask for, built without running one
explain      why an engine on disk is used, or is not
"""
