"""Video files in and out, through PyAV only: nothing else in the code base imports `av`.

read/       a file: facts, frames, packets, damage
decide/     everything decided before the first frame
write/      the output: encoded, muxed, verified
segments/   a run that cannot be lost, and that many can share
transcode   the pipeline: decode ─► engine ─► encode, bounded, first error wins
native      the seam to FFmpeg: open by absolute path, its errors as ours
steadied    frames averaged with their neighbours, one frame late
pixels      FFmpeg's pixel formats ↔ our PixelFormat; frames ↔ numpy planes
convert     swscale, always told matrix, range and siting
hdr         HDR10 facts: from a frame, to encoders, into the container
timing      time as rationals
still       one frame as the engine gets it and as people see it; a strip of small ones
playable    a clip that browsers play, for looking at
nearest     an engine that repeats pixels: tests, benchmarks, dry runs
"""
