"""The page in the browser: look at models on your own frames, choose, queue, run.

It holds no engine, planner or format code. What a file is comes from `srvid.advice`, frames from
`sr_video.still`, and work is done by the real commands as child processes.

    page/ (HTML, CSS, modules) ── HTTP on 127.0.0.1, token ──► guard ─► api ─► library   what the user opened
                                                                        ├─► looks     frames by models, measured
                                                                        └─► queue ─► work   srvid, srbatch --json

server      the address, the life and the end of one server
guard       who may ask: token, Origin, Host
api         how a route is checked and answered, and OpenAPI made of the same table
endpoints   that table
schemas     JSON Schemas of requests and answers
handlers    what each route does
suggested   what the page is told of a file
library     which paths may be touched, and which files are open
clips       moving previews
watch       what arrives in a folder, for `srkit watch`
sent        a comparison as one HTML file, for `srkit compare`
tried       models on moments of a file, for `srkit compare --model`
looks       frames by models, and estimates: who owns the engines, what is kept
lane        a thread: first what somebody waits for, then what may take its time
pictures    pixels as browsers take them
queue       jobs: their states, their order, kept on the disk
work        one job as a child process, its events heard
"""
