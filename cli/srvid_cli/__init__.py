"""The three commands: srvid (video), srbatch (images), srkit (everything around them).

srvid           the command             video_options, listener    what it can be asked, whom it tells
srbatch         the command             batch                      its parts
srkit           the command             srkit/                     one file a subcommand
command         grouped help, near misses
engine_options, device                  options that video and images share
grain           the option --grain
scale           the option --scale      getting                    a published model: shown, agreed to, kept
progress        the line on a terminal  events                     the lines of --json
outputs         never over an input, over another file only when told to
forecast        what --plan prints      spelling                   how options are written here
advice          what would serve an input better
errors          how a command ends
pool_options    the options that say who does the work: this process, processes, or a Ray cluster
scale           the option --scale      getting                    models that are fetched when asked for
version         `--version`: ours, and that of every backend that is installed
shown           no control characters leave here
getting         A published model into the library: shown, agreed to, downloaded, imported, kept with its licence
scale           the option --scale: any factor from 1 up
"""
