"""The models: their networks (`archs`, torch), their files (`models`, no torch), and other people's.

models       the files that come with srvid, by name and scale
importing    the door for every other file: checked or converted once, in a process of its own
other_formats what is read elsewhere, and files with another's ending
first_bytes  pages, pointers and archives that only have a model's name
convert      that process: which reader a file gets
soundness    whether a file holds an ONNX graph at all, before a runtime sees it
adopting     a foreign ONNX graph between our ends, its facts found, one tile compared
ends         how it takes and gives pictures: layout, channels, numbers, size
probing      scale, margin, multiple and smallest size, found by running it
float32      FP16 and BF16 graphs as FP32
lowering     operators of com.microsoft as standard ones
ncnn         .param and .bin as an ONNX graph (layers in `ncnn_layers`; `ncnn_base` adds what Real-CUGAN x4 lacks)
torch_files  .pth and .safetensors through spandrel, no code of theirs run
torch_kinds  weights that enlarge no picture, by the names of their tensors
export       a torch network as ONNX with its ModelSpec
library      imported models under names
catalogue    OpenModelDB's list: searched, and fetched from when asked
download     one file from the network, in full or not at all
torch_export a torch network as ONNX, in three ways (`torch_ops` for what they lack, `torch_forms` for reach,
             `torch_sizes` for the sides it takes)
onnx_run     run a file as it is, to check it
reasons      a runtime's complaint in one line
cost         parameters and multiply-adds
"""
