"""Everything that is decided before the first frame, and what will be lost by it.

paths       whether IN and OUT are what they should be
plan        the decisions of one run, and its losses in words
codecs      encoders we know: options, pixel formats, defaults
video_codec what is known of one encoder
hardware_encoders  those that graphics cards have, and whether they open here
card_frames whether NVENC reads the engine's frames on the card
containers  output formats we know: clock, what they hold
encoding    how frames are to be encoded: settings, and the tags encoders store
chapters    the output's, cut and moved
languages   what a container calls a language
streams     what becomes of every other stream: copied, converted, attached, lost
sound       what sound loses when it must be converted
geometry    shape, crop, rotation, 3D: how players present the picture
timecode    the clock of the first frame, moved with a cut
"""
