"""Video files in and out, through PyAV only: nothing else in the code base imports `av`.

native       the seam: open by absolute path, FFmpeg's errors as ours
pixels       FFmpeg's pixel formats ↔ our PixelFormat; frames ↔ numpy planes
facts        what a video is: size, colour tags, HDR, rotation, interlacing
source       a decoding iterator of frames and of packets to copy
codecs       encoders we know: options, pixel formats, defaults
containers   output formats we know: clock, what they hold
hdr          HDR10 facts for encoders and for the container
streams      what becomes of every other stream: copied, converted, attached, lost
encoder      one encoder stream: planes in, packets out
sink         OUT.part: streams, tags, chapters, packets; renamed when verified
verify       the finished file against what went in
transcode    the pipeline: decode ─► engine ─► encode, bounded, first error wins
nearest      an engine that repeats pixels: tests, benchmarks, dry runs
"""
