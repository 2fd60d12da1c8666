"""srbatch's parts: what it can be asked (options), which files (collect), what each becomes (plan),
what is done already (manifest), doing it (run), telling it (report), showing it (compare).
maker     the maker of images: an engine, opened once where they are made, and a few images in it at once
memory    how much memory a batch may use
"""
