"""Still and animated images: what a file means, and how to keep it.

open_image(path) ─► ImageFile: Header (size, depth, alpha, frames) + Meaning (ICC, EXIF, XMP, …)
     │ bands of rows, in the file's own depth: Pillow and OpenImageIO decode
     ▼
enlarge  orientation ─► profile ─► curve ─► Upscaler (colour, alpha) ─► curve ─► size ─► depth
     ▼
write_image(path): PNG and TIFF from bands in bounded memory; the rest by Pillow, OpenImageIO

formats    what each file format can hold, and how its first bytes look
meaning    Header, Meaning: the values that travel from input to output
reader     path → ImageFile           pillow_reader, scanline_reader, containers
writer     frames → file              png_writer, tiff_writer, pillow_writer, scanline_writer
array      numpy array → enlarged numpy array (the Python API)
alpha      colour bled under transparent pixels
curve      linear light and HDR ↔ the curve networks are trained on
profile    ICC: is it linear, to sRGB, CMYK to RGB
exif, ifd  orientation, sizes and thumbnail patched inside EXIF; TIFF directories
utf8_path  names of any bytes, for libraries that take UTF-8 only
enlarge    one file in, one file out
"""
