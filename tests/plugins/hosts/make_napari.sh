#!/usr/bin/env bash
# A virtual environment with the real napari, for the tests: bash make_napari.sh FOLDER [PYTHON]
# About 1.3 GB; done once, kept afterwards.
set -euo pipefail
folder=$1 python=${2:-python3}
[ -e "$folder/complete" ] && exit 0
rm -rf "$folder"
"$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check \
    napari PySide6-Essentials pytest pytest-qt openvino onnx av pillow click
touch "$folder/complete"
