"""One runtime a file, each a `Backend`; `sr_core.backend.BACKENDS` is their table.

choice         which of several ways to compute the same thing is taken here: tried once, kept, explained
fidelity       how close a graph in fewer bits comes to FP32, and how close it must
openvino_ways  the ways a graph runs on a device of OpenVINO
body_types     an OpenVINO model whose body is typed bf16 or f16
handover       one backend until another is ready
cuda                   the CUDA runtime through cuda-bindings: calls that raise, and which GPUs are here
dlpack                 DLPack without torch: planes that live on a GPU, borrowed and lent
onnxruntime            ONNX Runtime: what its providers reach (CUDA, MIGraphX, DirectML, CoreML, CPU), in FP32
onnxruntime_telemetry  `import onnxruntime` without its telemetry
next_best              a backend that takes the next one where a graph does not open
openvino               OpenVINO: on the CPU the embedded default, and on Intel's GPUs and NPUs
openvino_devices       which devices OpenVINO has here, and what its plug-ins are told
openvino_session       A graph that OpenVINO compiled, and its infer requests
openvino_telemetry     `import openvino` without its telemetry
webgpu                 any GPU with Vulkan, Direct3D 12 or Metal, through ONNX Runtime's plug-in
vulkan                 the names of GPUs, as Vulkan gives them
tensorrt               TensorRT and TensorRT-RTX as backends: which GPU, which engine, then a session
tensorrt_library       `tensorrt` and `tensorrt_rtx` behind one face: the only place where the two differ
tensorrt_native        what such a session must free, and in which order
frame_ring             frames on a card that an encoder reads there: lent, and given back when it has read them
tensorrt_session       one TensorRT engine running: three streams, N slots, one execution context
"""
