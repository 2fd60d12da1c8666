"""One folder a host. Those of GIMP, Krita and ComfyUI are copied into the host and never imported here."""
