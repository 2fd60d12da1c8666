"""Inputs that once broke srvid, kept beside the project in ../shared/cases: each folder is a row here.

    python -m tests.cases --cases ../shared/cases       runs every row, one JSON line each
    python -m tests.cases --cases … --only attack/crash/part-link

rows       what is run in a copy of each folder, and what must come of it
__main__   runs the rows in forked children, as the fuzzer does
"""
