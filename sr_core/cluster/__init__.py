"""Work given to the machines of a Ray cluster: segments of a video, images of a folder.

    this machine                              a node
    Team ──item──► worker actor: opens the engine once, has a folder of its own ──parcel──► here
    FileServer ◄──read(path, offset, size)── only where the node does not see the same file

connect   to the cluster, and errors as they were raised on a node
team      who works where: a worker per node or GPU, lost work given to others
files     files that go to nodes and come back
"""
