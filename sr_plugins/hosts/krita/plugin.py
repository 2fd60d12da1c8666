"""Krita 5.2: Tools > Scripts > Upscale (srvid)…

plugin.py (__init__.py there)   registers the action
window.py     dialog, progress, thread     ─► document.py   pixels in, pixels out, scopes
srvid_client.py, launch.json    from `srkit plug install krita`
"""

from krita import Krita

from .window import UpscaleExtension

Krita.instance().addExtension(UpscaleExtension(Krita.instance()))
