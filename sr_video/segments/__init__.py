"""A video in segments: a run that cannot be lost, and that many can share.

    input ─► index ─► cut ─► manifest ─┬─► segment 0 ─► 00000.nut + 00000.json ─┬─► join ─► OUT
                                       ├─► segment 1 ─► 00001.nut + 00001.json ─┤
                                       └─► …  here, in processes, or on Ray     ┘

index        when every frame of the input is shown, and what its bytes hash to
cut          the list of segments: whole groups of pictures, about 20 seconds each, or two minutes of work
speed        how long a frame takes, from a little work in the middle
job          OUT.srvid: the manifest that binds input, model, settings and versions; records; lock
segment      one segment: decode, upscale, encode, by itself; a file and its record
maker        an engine, opened once where segments are made (`sr_work` says where)
join         segments into one file by remuxing, everything else copied, verified
verdict      what the rehearsal found, for a job that goes on
terms        what a job is bound to: written as it begins, compared as it goes on
run          the coordinator: plan or resume, make what is missing, join
forecast     two seconds of work from which the rest is estimated (`--plan`)
remote_file  the input, read in blocks from where it lies

A segment is a function of the manifest and its number alone, so that who makes it, when, and after
how many crashes does not change a byte.
"""
