"""srbatch's parts: which files (collect), what each becomes (plan), what is done already (manifest),
doing it (run), telling it (report), showing it (compare)."""
