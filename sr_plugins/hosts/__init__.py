"""One folder a host. Those of GIMP, Krita and ComfyUI are copied into the host and never imported here.

comfyui/ ComfyUI finds the node here
napari/  napari: a dock widget that enlarges image layers
"""
