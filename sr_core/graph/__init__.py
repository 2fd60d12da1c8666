"""One ONNX graph from planes to planes: colour edges around a network.

compose          the composed graph of a model for a format, a colour and a size
network          the model's own graph: checked against the contract, cleaned
body             which of its nodes may run in fewer bits
cost             what a graph costs a GPU, read off its shapes
multiplications  how many a node takes: convolutions, products of matrices, attention
static_shapes    what a network computes from its own shapes, worked out for one size
reach            halo and grid of a network that computes sizes from its shapes
grid             the grid that tiles must begin on
shuffles         pixels moved to channels and back by reshapes, as operators with a reach
color_edges      planes as stored → the network's input; its output → planes
taps             the small filters at those edges, as numbers
webgpu_form      without what WebGPU would run on the CPU
packed_exit      the exit edge folded into the network's last convolution
quantized        quantizers for INT8: added, removed, made ready
transposed       a transposed convolution as a convolution and a shuffle
sub_pixel        the sub-pixel convolution that networks end in
receptive_field  how far a network sees (Note [halo])
chain            several networks after each other, as one
blend            a network mixed with a more faithful one
sharpen          luma made crisper behind the network
ensemble         a network averaged over eight flips and turns
onnx_builder     a small writer of ONNX graphs
"""
