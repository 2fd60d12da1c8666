"""napari: a dock widget that enlarges image layers. It comes with `pip install srvid`; nothing to install.

planes  A layer's data, plane by plane: grey or RGB, 2-D, stacks, time series
"""
