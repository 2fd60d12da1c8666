"""What only a process of its own can show: teardown, two environments, memory."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("vapoursynth_filter", reason="pip install 'srvid[vapoursynth]'")

RunPython = Callable[[str], "subprocess.CompletedProcess[str]"]
CLIP = """
import vapoursynth as vs
from vapoursynth_filter import upscale
def clip_of(core, length):
    return core.std.BlankClip(format=vs.YUV420P8, width=64, height=48, length=length, color=[90, 100, 150])
"""


def test_an_interpreter_ends_with_frames_in_flight(run_python: RunPython, nearest: Path) -> None:
    result = run_python(
        f"{CLIP}large = upscale(clip_of(vs.core, 400), 2, {str(nearest)!r}, 'openvino', tile=64)\n"
        "futures = [large.get_frame_async(n) for n in range(200)]\n"
        "futures[0].result()\n"
        "print('done')\n"
    )
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr


def test_dropping_a_clip_with_frames_in_flight_is_safe(run_python: RunPython, nearest: Path) -> None:
    result = run_python(
        f"{CLIP}import gc\n"
        "from vapoursynth_filter.engines import open_count\n"
        "for _ in range(5):\n"
        f"    large = upscale(clip_of(vs.core, 100), 2, {str(nearest)!r}, 'openvino', tile=64)\n"
        "    futures = [large.get_frame_async(n) for n in range(100)]\n"
        "    del large\n"
        "    sizes = {future.result().width for future in futures}\n"
        "    del futures\n"
        "gc.collect()\n"
        "print(sizes, open_count())\n"
    )
    assert result.stdout == "{128} 0\n", result.stderr


def test_two_environments_each_have_their_own_engine(run_python: RunPython, nearest: Path) -> None:
    result = run_python(
        f"{CLIP}import gc\n"
        "from vapoursynth_filter.engines import open_count\n"
        "class Policy(vs.EnvironmentPolicy):\n"
        "    current = None\n"
        "    def on_policy_registered(self, api): self.api = api\n"
        "    def on_policy_cleared(self): self.current = None\n"
        "    def get_current_environment(self): return self.current\n"
        "    def set_environment(self, environment):\n"
        "        before, self.current = self.current, environment\n"
        "        return before\n"
        "    def is_alive(self, environment): return environment is not None\n"
        "policy = Policy()\n"
        "vs.register_policy(policy)\n"
        "environments, counts, sums = [policy.api.create_environment() for _ in range(2)], [], []\n"
        "for environment in environments:\n"
        "    with policy.api.wrap_environment(environment).use():\n"
        f"        large = upscale(clip_of(vs.core, 4), 2, {str(nearest)!r}, 'openvino', tile=64)\n"
        "        import numpy as np\n"
        "        sums.append(sum(int(np.asarray(frame[0]).sum()) for frame in large.frames()))\n"
        "        counts.append(open_count())\n"
        "    if environment is environments[0]: kept = large\n"
        "del large, kept\n"
        "for environment in environments:\n"
        "    policy.api.destroy_environment(environment)\n"
        "gc.collect()\n"
        "print(counts, sums[0] == sums[1] > 0, open_count())\n"
    )
    assert result.stdout == "[1, 2] True 0\n", result.stderr


def test_memory_is_flat_over_two_thousand_frames(run_python: RunPython, nearest: Path) -> None:
    result = run_python(
        f"{CLIP}"
        "vs.core.max_cache_size = 16\n"
        f"large = upscale(clip_of(vs.core, 2600), 2, {str(nearest)!r}, 'openvino', tile=64, reuse=False)\n"
        "def rss_mib():\n"
        "    with open('/proc/self/status') as status:\n"
        "        return next(int(line.split()[1]) for line in status if line.startswith('VmRSS')) / 1024\n"
        "before = 0.0\n"
        "for n, frame in enumerate(large.frames(close=True)):\n"
        "    if n == 600: before = rss_mib()\n"
        "print(f'{rss_mib() - before:.1f}')\n"
    )
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) < 8, "MiB grown over 2,000 frames"
