"""The engine inside image tools: one loopback worker, one client, one thin plug-in a host.

    GIMP ─┐
    Krita ├─ client.py ──socket──► worker.py ─► jobs.py ─► srvid.open_upscaler
    ComfyUI┘  (standard library,    (srkit serve)            (models kept open by shelf.py)
               copied into the host)
    napari ─── in its own process: srvid.open_upscaler

`PROTOCOL.md` says what travels in the socket; `places.py` and `install.py` are `srkit plug`.
"""
