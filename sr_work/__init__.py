"""Work shared out: segments of a video, images of a folder, over threads, processes or machines.

    items ─► Workers (scheduler) ─► transport ─► a worker: a maker, opened once ─► answers, files ─► results

work         items, makers, sites, pools and engine recipes: the words of this package
scheduler    who gets which item, what is tried again, when the work stops
here         the transport of this process: a thread for each slot
processes    the transport of worker processes
ray_cluster  the transport of a Ray cluster's machines
connect      the connection to that cluster
files        files that go to nodes and come back
likeness     whether a worker would make the bytes that are expected
"""
