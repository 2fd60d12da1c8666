"""The engine every front end shares.

Floor 0 (numpy at most): errors, frame, color, model_spec, tiling, timing, storage,
difference, backend. Floor 1 (one heavy dependency each): graph and receptive_field
(onnx), backends (one runtime a file), media (PyAV), upscaler (floor 0 and a Session).
"""
