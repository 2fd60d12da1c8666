"""Video files in and out, through PyAV only: nothing else in the code base imports `av`.

Reading
    native       the seam: open by absolute path, FFmpeg's errors as ours
    pixels       FFmpeg's pixel formats ↔ our PixelFormat; frames ↔ numpy planes
    convert      swscale, always told matrix, range and siting
    facts        what a video is: size, colour tags, HDR, rotation, interlacing
    damage       what is wrong with an input; is its end missing?
    deinterlace  interlaced input becomes progressive
    timestamps   when decoded frames are shown
    held_packets   packets to copy, until the frame that follows them
    matroska_chain is something missing between two packets of a Matroska file?
    source       a decoding iterator of frames and of packets to copy
Deciding
    codecs       encoders we know: options, pixel formats, defaults
    containers   output formats we know: clock, what they hold
    streams      what becomes of every other stream: copied, converted, attached, lost
    geometry     shape, crop, rotation, 3D: how players present the picture
    timecode     the clock of the first frame, moved with a cut
    plan         everything decided before the first frame, and what is lost by it
Writing
    hdr          HDR10 facts for encoders and for the container
    sound        sound a container cannot hold, without further loss
    subtitles    text subtitles from one codec to another
    copied_times decoding times of copied packets
    gaps         times that jump further than MP4 can store
    encoder      one encoder stream: planes in, packets out
    sink         OUT.part: streams, tags, chapters, packets; renamed when verified
    verify       the finished file against what went in
Running
    transcode    the pipeline: decode ─► engine ─► encode, bounded, first error wins
    nearest      an engine that repeats pixels: tests, benchmarks, dry runs
"""
