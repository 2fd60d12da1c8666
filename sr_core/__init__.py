"""The engine every front end shares: frames in, larger frames out.

upscaler    frames → tiles → sessions → frames; every front end goes through it
array       a numpy image through an upscaler (the Python API)
alpha       colour bled under transparent pixels
frame       how pixels lie in memory: formats, planes, sizes
packing     planes whose samples lie in the channels of a coarser grid
color       what samples mean: matrix, range, chroma siting
model_spec  the facts that travel inside a model's ONNX file
onnx_wire   the properties of an ONNX file, read without the package
graph/      planes → colour → network → colour → planes, as one ONNX graph
tiles/      how a frame is cut so that tiled equals whole
steady/     three frames of output into one that flickers less
backend     what is asked of a runtime: two protocols and one table
backends/   one runtime a file
engine_key  what a compiled engine is tied to
storage     where srvid keeps files of its own, and how a file gets its name
records     JSON of our own, read as if somebody else had written it
children    how a Python of our own is started, safe in any folder
file_stamp  what tells, without reading a file, that it is still the same
grain       film grain over what was made
lost_grain  how much grain a network took away
in_order    work submitted ahead of its results
difference  how two pictures differ
late_module modules that are loaded when their types are asked for
wording     counts, options that each front end spells, near misses
errors      every exception srvid raises on purpose
emulated    bf16 arithmetic on any CPU, for tests and benchmarks
testing     public test doubles

Importing it loads numpy at most; each heavy dependency (onnx, a runtime) stays in one place.
"""
