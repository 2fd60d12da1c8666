"""The colour of images: from a file's samples to what networks are trained on, and back.

curve    linear light and HDR ↔ the curve of the training images
profile  ICC profiles: is it linear, to sRGB, CMYK to RGB
"""
