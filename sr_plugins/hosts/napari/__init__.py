"""napari: a dock widget that enlarges image layers. It comes with `pip install srvid`; nothing to install."""
