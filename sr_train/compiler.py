"""Whether torch.compile can work: it needs a C++ compiler beside torch."""

import os
import shutil


def has_compiler() -> bool:
    """A C++ compiler that torch.compile finds is here."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++", "cl"))
