"""Image files read and written, one format a module.

capabilities     what each format can hold, and how its first bytes look
camera_raw       told apart, to be refused
reader           path → an open image
writer           frames → a file, complete under its name or not there at all
pillow_reader, pillow_writer          JPEG, WebP, BMP, GIF, AVIF by Pillow
png_reader, png_writer                PNG and APNG
jpeg_writer                           JPEG with its metadata segments
tiff_reader, tiff_writer              TIFF and BigTIFF
exr_jxl_reader                        OpenEXR and JPEG XL
heif                                  HEIC
scanline_reader, scanline_writer      OpenImageIO, in strips of rows
utf8_path                             names of any bytes, for libraries that take UTF-8 only
"""
