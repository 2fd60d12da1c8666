"""The output file: encoded, muxed, read back and compared.

encoder       one encoder stream: planes in, packets out
on_card       frames that stay on a card, for an encoder that reads them there
sink          OUT.part: streams, tags, chapters, packets; renamed when verified
sound         sound a container cannot hold, without further loss
subtitles     text subtitles from one codec to another
copied_times  decoding times of copied packets
gaps          times that jump further than MP4 can store
verify        the finished file against what went in
kept_tags     which tags of its streams a container keeps
rehearsal     a small output in memory, verified before the first frame
"""
