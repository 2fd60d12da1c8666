"""Still and animated images: what a file means, and how to keep it.

open_image(path) ─► ImageFile: Header (size, depth, alpha, frames) + metadata (ICC, EXIF, XMP, …)
     │ strips of rows, in the file's own depth: Pillow and OpenImageIO decode
     ▼
enlarge  orientation ─► profile ─► curve ─► Upscaler (colour, alpha) ─► curve ─► size ─► depth
     ▼
write_image(path): PNG and TIFF from strips in bounded memory; the rest by Pillow, OpenImageIO

enlarge    one file in, one file out
view       a file as 8-bit RGB, as people see it
pipeline   what happens to pixels before and after the network
in_memory  an image in memory enlarged strip by strip: what image programs hand over
strips     rows through an upscaler and a resize, with exact seams
sizing     which size an output gets
formats/   what each file format can hold; its reader and its writer
metadata/  what travels from input to output, and what must change on the way
color/     profiles, and the curves between a file's samples and the network's
"""
