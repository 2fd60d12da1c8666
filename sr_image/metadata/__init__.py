"""What an image file says beside its pixels.

carried     the values that travel from an input to its output
update      sizes, orientation, resolution and thumbnail brought up to date
exif, ifd   EXIF patched in place; the TIFF directories inside it
iptc        IPTC-IIM inside Photoshop resources
png_chunks  what the chunks of a PNG say
attached    gain maps, motion photos: what must no longer be promised
behind      what lies behind the end of a picture
georeference where the pixels of a TIFF lie on the ground
"""
