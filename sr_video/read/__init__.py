"""A video file read: what it is, its frames, its packets, its faults.

facts          what a video is: size, colour tags, HDR, rotation, interlacing
source         a decoding iterator of frames and of packets to copy
source_frame   what it hands out
landing        where decoding begins to reach a frame in the middle
timestamps     when decoded frames are shown
held_packets   packets to copy, until the frame that follows them
deinterlace    interlaced input becomes progressive
hardness       how hard it was compressed: clean, some, hard
compression    how hard a video was compressed, by its quantizers
second_look    a slower decoding that tells more, where pictures are missing
faults         what is found wrong while decoding: noted or raised
damage         what is wrong with an input; is its end missing?
matroska_chain is something missing between two packets of a Matroska file?
hwaccel        decoding on the graphics card
device_frames  frames that a hardware decoder leaves there
"""
