"""How a frame is cut into tiles so that tiled equals whole.

tiling    where the tiles of a frame lie: what each reads, what it owns
parts     the parts of a frame's planes that belong to a tile
sessions  which tiles a frame gets, and the compiled session that runs them
read_size how much a tile reads on a CPU
frame_job one frame on its way through them
blending  overlapping tiles of networks without a finite reach, joined by a ramp
"""
