"""Fit NIQE's pristine statistics on a quarter of the open training photographs.

python benchmarks/zoo_fit_niqe.py ../shared/data sr_train/niqe_pristine.npz
"""

import argparse
from pathlib import Path

import numpy as np

from sr_train.decoding import read_rgb
from sr_train.metrics import luma_from_rgb
from sr_train.niqe import fit_statistics

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    data, out = options.data, options.out
    folders = [data / "train" / name for name in ("cid22", "photo640")]
    files = sorted(path for folder in folders for path in folder.glob("*.jpg"))[::4]
    fitted = fit_statistics(luma_from_rgb(read_rgb(path)) for path in files)
    np.savez(out, mean=fitted.mean.astype(np.float32), covariance=fitted.covariance.astype(np.float32))
    print(f"{len(files)} photographs, {out.stat().st_size} bytes")
