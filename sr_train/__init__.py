"""Training and measuring: `loop.run_training` makes a model, `evaluation.evaluate` fills the table.

benchmark_sets  the sets the papers measure on, and how their low-resolution halves are made
chances         how often a training clip is soft, noisy, coded twice and so on
checkerboard    how strong a checkerboard an up-sampling head leaves: the part of its error that repeats
checkpoints     the state of a training run in one file
clip_bank       the cache of coded clips, and batches of pairs of consecutive frames out of it
clips           short clips of a still, panned or zoomed picture, shrunk and coded as one video
coding          frames through a real video codec, and the 4:2:0 on both sides of it with stated chroma siting
compiler        whether torch.compile can work here
config          what a training run is: a TOML recipe read into frozen, validated dataclasses
curves          the picture of a training run: loss and validation PSNR over its minutes
decoding        an image file becomes 8-bit RGB as people see it: turned as its EXIF says, 16 bits scaled
degradations    how a clean frame becomes what people really have: soft, resized, noisy, compressed
discriminators  adversaries: a second network that learns to tell made from real while the first learns to fool it
filters         separable correlation on planes, for the measures: slices and sums, nothing but numpy
images          the training images: decoded once, degraded once, kept as uint8, cropped by a seeded generator
imresize        MATLAB's `imresize(image, scale, 'bicubic')` on uint8 images, bit for bit
losses          losses by name, (sr, hr) -> scalar
metrics         full-reference measures by the protocol of the papers: 8-bit images, `scale` pixels cropped
niqe            NIQE: Making a "Completely Blind" Image Quality Analyzer (Mittal et al., SPL 2013). No reference
optimisers      adam, SGD and Muon behind one call
painting        truths as a painter would see them: weak texture away, contours smooth and crisp
plot            small charts with Pillow: points and lines on two axes
quantization    a shipped network made ready for INT8: which convolutions, with what ranges, at what cost
recipes         recipes by name, and on whatever pictures somebody has
published       what the authors published: Y PSNR in dB by network, scale and set, from the authors' own tables
report          what `srkit eval` prints and writes: one table, per-image CSV, JSON, a quality-against-cost plot
scenes          drawn scenes from a seed: line art and cel shading, whose truth is as sharp as a renderer makes it
shapes          drawn pictures: straight and curved edges, lines, windows, lettering, shaded flat color
shipping        from a finished training to a model file: export the averaged weights, measure them, write both
strokes         pieces of drawn pictures as SVG: lines of varying width, blobs, eyes, hair, screens, letters
unsharp         truths that are a little too sharp: an unsharp mask of luma
vgg             VGG19 features
warm_starts     weights to start a training from: another run's checkpoint, or a model file of ours
"""
