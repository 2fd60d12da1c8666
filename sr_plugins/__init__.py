"""The engine inside image tools: one loopback worker, one client, one thin plug-in a host.

    GIMP ─┐
    Krita ├─ client.py ──socket──► worker.py ─► jobs.py ─► srvid.open_upscaler
    ComfyUI┘  (standard library,    (srkit serve)            (models kept open by model_cache.py)
               copied into the host)
    napari ─── in its own process: srvid.open_upscaler

`PROTOCOL.md` says what travels in the socket; `places.py` and `install.py` are `srkit plug`.
hangup       who notices that nobody waits for a job any more, and what that stops
hosts/       one folder a host
strips       A job's rows enlarged strip by strip
testing      public test doubles: a worker on a thread with the small networks of `sr_core.testing`
"""
