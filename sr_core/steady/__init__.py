"""A steadier picture: what flickers between output frames is averaged over three where the input stood still.

motion    where each block of an input frame lies in its neighbour
overlay   a neighbour's planes laid over a frame's by that motion
weights   how much of a neighbour each pixel takes: none where the inputs do not match
blend     three planes of output into one
window    frames in order, each with the one before and the one after

A frame depends on its neighbours alone, given and made, and on whole frames: neither tiles nor what was made before
change a bit of it. Integers throughout, so every machine computes the same. See docs/adr/0010-steady.md.
"""
