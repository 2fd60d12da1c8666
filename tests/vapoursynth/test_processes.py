"""What only a process of its own can show: teardown, two environments, memory, the benchmark's null backend."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("vapoursynth_filter", reason="pip install 'srvid[vapoursynth]'")

Run = Callable[[str], "subprocess.CompletedProcess[str]"]
SETUP = """
import gc, time
import vapoursynth as vs
from vapoursynth_filter import upscale
from vapoursynth_filter.engines import open_count

def enlarged(core, length, **options):
    small = core.std.BlankClip(format=vs.YUV420P8, width=64, height=48, length=length, color=[90, 100, 150])
    return upscale(small, 2, MODEL, 'openvino', tile=64, **options)

def left_open():
    # A thread of VapourSynth lets go of a node's last frame a moment after it has handed that frame out.
    gives_up = time.monotonic() + 600
    gc.collect()
    while open_count() and time.monotonic() < gives_up:
        time.sleep(0.01)
    return open_count()
"""
FRAMES_IN_FLIGHT = """
large = enlarged(vs.core, 400)
futures = [large.get_frame_async(n) for n in range(200)]
futures[0].result()
print('done')
"""
DROPPED_CLIPS = """
for _ in range(5):
    large = enlarged(vs.core, 100)
    futures = [large.get_frame_async(n) for n in range(100)]
    del large
    sizes = {future.result().width for future in futures}
    del futures
print(sizes, left_open())
"""
STILL_CLIP = """
vs.core.num_threads = 4
still = vs.core.std.BlankClip(format=vs.YUV420P8, width=960, height=540, length=150, keep=True)
print(sum(1 for _ in upscale(still, 2, MODEL, 'openvino', tile=64, threads=2).frames(close=True)))
"""
TWO_ENVIRONMENTS = """
import numpy as np

class Policy(vs.EnvironmentPolicy):
    current = None
    def on_policy_registered(self, api): self.api = api
    def on_policy_cleared(self): self.current = None
    def get_current_environment(self): return self.current
    def set_environment(self, environment):
        before, self.current = self.current, environment
        return before
    def is_alive(self, environment): return environment is not None

policy = Policy()
vs.register_policy(policy)
environments, counts, sums = [policy.api.create_environment() for _ in range(2)], [], []
for environment in environments:
    with policy.api.wrap_environment(environment).use():
        large = enlarged(vs.core, 4)
        sums.append(sum(int(np.asarray(frame[0]).sum()) for frame in large.frames()))
        counts.append(open_count())
    if environment is environments[0]: kept = large
del large, kept
for environment in environments:
    policy.api.destroy_environment(environment)
print(counts, sums[0] == sums[1] > 0, left_open())
"""
TWO_THOUSAND_FRAMES = """
def rss_mib():
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) for line in status if line.startswith('VmRSS')) / 1024

vs.core.max_cache_size = 16
before = 0.0
for n, frame in enumerate(enlarged(vs.core, 2600, reuse=False).frames(close=True)):
    if n == 600: before = rss_mib()
print(f'{rss_mib() - before:.1f}')
"""


@pytest.fixture
def printed(run_python: Run, nearest: Path) -> Callable[[str], str]:
    """What a script prints that has `enlarged`, and ends well."""

    def run(script: str) -> str:
        result = run_python(f"MODEL = {str(nearest)!r}\n{SETUP}{script}")
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


def test_an_interpreter_ends_with_frames_in_flight(printed: Callable[[str], str]) -> None:
    assert printed(FRAMES_IN_FLIGHT) == "done\n"


def test_dropping_a_clip_with_frames_in_flight_is_safe(printed: Callable[[str], str]) -> None:
    assert printed(DROPPED_CLIPS) == "{128} 0\n"


def test_a_still_clip_in_many_tiles_comes_to_its_end(printed: Callable[[str], str]) -> None:
    """Each tile waits for the frame before, which another thread brings: they once waited for each other."""
    assert printed(STILL_CLIP) == "150\n"


def test_two_environments_each_have_their_own_engine(printed: Callable[[str], str]) -> None:
    assert printed(TWO_ENVIRONMENTS) == "[1, 2] True 0\n"


def test_memory_is_flat_over_two_thousand_frames(printed: Callable[[str], str]) -> None:
    assert float(printed(TWO_THOUSAND_FRAMES)) < 8, "MiB grown over 2,000 frames"


def test_the_benchmark_of_the_filter_layer_runs() -> None:
    """It enters a backend of its own into the table, which no type checker sees."""
    script = Path(__file__).parents[2] / "benchmarks/vapoursynth/filter_layer.py"
    result = subprocess.run([sys.executable, script, "--frames", "1"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()[2:]] == "YUV420P8 YUV420P10 RGB24 RGBH RGBS".split()
