"""The worker and its client, over real sockets, with real networks."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_core.errors import NotAvailable
from sr_core.frame import Array
from sr_core.grain import STRONGEST, Film, lay_on_picture
from sr_plugins import client
from sr_plugins.testing import RunningWorker, job_of, through_worker
from tests.plugins.pictures import by_the_api, noise

# ---- pixels


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
def test_every_sample_type_and_channel_count_equals_the_python_api(
    worker: RunningWorker, channels: int, dtype: str
) -> None:
    image = noise(37, 29, channels, dtype=dtype)
    np.testing.assert_array_equal(through_worker(image, model="random", scale=2), by_the_api(image))


def test_strips_equal_the_whole_image(worker: RunningWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sr_image.in_memory.STRIP_PIXELS", 1)
    image = noise(403, 40, 4)
    image[100:300, 5:30, 3] = 0  # transparent, so that colour is bled across the strips' borders
    np.testing.assert_array_equal(through_worker(image, model="random", scale=2), by_the_api(image))


def test_a_network_without_finite_reach_sees_the_whole_image(worker: RunningWorker) -> None:
    image = noise(120, 80, 3)
    np.testing.assert_array_equal(through_worker(image, model="global", scale=2), by_the_api(image, model="global"))


def test_grain_lies_over_the_colors_and_each_moment_has_its_own(
    worker: RunningWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr_image.in_memory.STRIP_PIXELS", 1)
    image = noise(203, 40, 4)
    made = through_worker(image, model="random", scale=2, grain=0.5, moment=3)
    expected = lay_on_picture(Film(0.5 * STRONGEST), by_the_api(image), moment=3)
    np.testing.assert_array_equal(made, expected)
    assert not np.array_equal(made, lay_on_picture(Film(0.5 * STRONGEST), by_the_api(image)))
    same_size = through_worker(image, model="random", scale=2, grain=0.5, at_input_size=True)
    np.testing.assert_array_equal(same_size, through_worker(image, model="random", scale=2, at_input_size=True))


def test_bgr_rows_come_back_as_bgr(worker: RunningWorker) -> None:
    image = noise(20, 30, 4)
    swap = [2, 1, 0, 3]
    result = through_worker(np.ascontiguousarray(image[..., swap]), model="random", scale=2, order="bgr")
    np.testing.assert_array_equal(result[..., swap], by_the_api(image))


def test_linear_light_is_encoded_for_the_network_and_decoded_after(worker: RunningWorker) -> None:
    image = np.full((24, 24, 3), 0.2140411, np.float32)  # linear light of the sRGB code 0.5
    result = through_worker(image, model="nearest", scale=2, transfer="linear")
    np.testing.assert_allclose(result, 0.2140411, rtol=1e-5)
    ramp = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 64, 1).repeat(24, 0).repeat(3, 2)
    linear = through_worker(ramp, model="random", scale=2, transfer="linear")
    encoded = through_worker(ramp, model="random", scale=2)
    assert np.abs(linear - encoded).max() > 0.01


def test_floats_beyond_one_and_below_zero_survive(worker: RunningWorker) -> None:
    image = noise(16, 16, 3, dtype=np.float32) * 5 - 1
    result = through_worker(image, model="nearest", scale=2)
    np.testing.assert_allclose(result, image.repeat(2, 0).repeat(2, 1), atol=2e-6)


def test_at_input_size_averages_the_result_back(worker: RunningWorker) -> None:
    image = noise(30, 20, 3)
    same = through_worker(image, model="nearest", scale=3, at_input_size=True)
    np.testing.assert_array_equal(same, image)
    large = by_the_api(image).astype(np.float64).reshape(30, 2, 20, 2, 3).mean((1, 3))
    smaller = through_worker(image, model="random", scale=2, at_input_size=True)
    assert np.abs(smaller - large).max() <= 0.5001


@pytest.mark.parametrize(("scale", "shape"), [(1.5, (225, 32)), (1.1, (165, 23)), (2.0, (300, 42))])
def test_a_factor_between_two_is_made_by_the_larger_and_a_resize_down(
    worker: RunningWorker, monkeypatch: pytest.MonkeyPatch, scale: float, shape: tuple[int, int]
) -> None:
    """Strip by strip as from the whole image; straight alpha weighs the colours."""
    monkeypatch.setattr("sr_image.in_memory.STRIP_PIXELS", 1)
    image = noise(150, 21, 4)
    image[..., 3] = 255
    result = through_worker(image, model="random", scale=scale)
    whole = Image.fromarray(by_the_api(image[..., :3])).resize(shape[::-1], Image.Resampling.LANCZOS)
    assert result.shape == (*shape, 4)
    assert np.abs(result[..., :3].astype(int) - np.asarray(whole)).max() <= 1
    assert (result[..., 3] == 255).all()


def test_rows_come_back_while_later_rows_are_still_computed(
    worker: RunningWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr_image.in_memory.STRIP_PIXELS", 1)
    image, seen = noise(600, 60, 3), []
    client.upscale(
        job_of(image, model="nearest", scale=2),
        [image.tobytes()],
        lambda y, count, rows: seen.append((y, count)),
    )
    assert len(seen) > 5
    assert seen[0][0] == 0
    assert sum(count for _, count in seen) == 1200


def test_two_clients_at_once_both_get_their_own_pixels(worker: RunningWorker) -> None:
    images = [noise(200, 100, 3), 255 - noise(160, 130, 3)]
    results: dict[int, Array] = {}

    def work(index: int) -> None:
        results[index] = through_worker(images[index], model="random", scale=2)

    threads = [threading.Thread(target=work, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in (0, 1):
        np.testing.assert_array_equal(results[index], by_the_api(images[index]))


def test_progress_names_the_phase_and_rises_to_one(worker: RunningWorker) -> None:
    image, said = noise(50, 50, 3), []
    client.upscale(
        job_of(image, model="nearest", scale=2),
        [image.tobytes()],
        lambda y, count, rows: None,
        progress=lambda phase, share: said.append((phase, share)),
    )
    assert ("loading model", 0.0) in said
    shares = [share for phase, share in said if phase == "upscaling"]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


# ---- what is refused


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"scale": 0}, "scale is 0"),
        ({"scale": True}, "scale is True"),
        ({"scale": 0.5}, "scale is 0.5, expected 1 to 16"),
        ({"scale": 16.5}, "scale is 16.5, expected 1 to 16"),
        ({"scale": "2"}, "scale is '2', expected 1 to 16"),
        ({"sample": "u12"}, "sample is 'u12'"),
        ({"order": "grb"}, "order is 'grb'"),
        ({"width": -1}, "width is -1"),
        ({"speed": 3}, "unknown fields: speed"),
        ({"model": ""}, "expected a name"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_its_value(
    worker: RunningWorker, fields: dict[str, object], part: str
) -> None:
    job = {**job_of(noise(4, 4, 3), scale=2), **fields}
    with pytest.raises(client.WorkerError) as caught:
        client.upscale(job, [bytes(48)], lambda y, count, rows: None)
    assert part in str(caught.value)


def test_nan_is_refused_and_the_worker_goes_on(worker: RunningWorker) -> None:
    image = np.full((8, 8, 3), np.nan, np.float32)
    with pytest.raises(client.WorkerError, match="NaN"):
        through_worker(image, model="nearest", scale=2)
    assert through_worker(noise(8, 8, 3), model="nearest", scale=2).shape == (16, 16, 3)


def test_an_unknown_model_is_an_error_with_the_engines_hint(worker_file: Path) -> None:
    def opener(model: str, **options: object) -> object:
        raise NotAvailable(f"no model {model!r}", hint="choose one of: clear")

    with RunningWorker(worker_file, opener=opener), pytest.raises(client.WorkerError) as caught:  # type: ignore[arg-type]
        through_worker(noise(8, 8, 3), model="cleer", scale=2)
    assert str(caught.value) == "no model 'cleer'\n\nchoose one of: clear"


def test_a_wrong_token_is_refused_before_any_pixel(worker: RunningWorker, worker_file: Path) -> None:
    facts = json.loads(worker_file.read_text())
    worker_file.write_text(json.dumps({**facts, "token": "guess"}))
    with pytest.raises(client.WorkerError, match="wrong token"):
        through_worker(noise(8, 8, 3), model="nearest", scale=2)
    assert worker.worker._jobs_done == 0


def test_another_protocol_version_is_refused_by_both_sides(
    worker: RunningWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = json.loads(worker.path.read_text())["token"]
    with socket.create_connection(("127.0.0.1", json.loads(worker.path.read_text())["port"])) as endpoint:
        link = client.Link(endpoint, lambda: False)
        assert link.expect(client.HELLO)["protocol"] == client.PROTOCOL
        link.send_frame(client.JOB, json.dumps({"token": token, "protocol": 99, "do": "status"}).encode())
        with pytest.raises(client.WorkerError, match="speaks protocol 99"):
            link.expect(client.ACCEPTED)
    monkeypatch.setattr(client, "PROTOCOL", 99)
    monkeypatch.setattr("sr_plugins.client._try_connect", lambda: _old_worker(worker.path))
    with pytest.raises(client.WorkerError, match="srkit plug install"):
        client.ask("status")


def _old_worker(path: Path) -> tuple[socket.socket, str, client.Request]:
    endpoint = socket.create_connection(("127.0.0.1", json.loads(path.read_text())["port"]))
    return endpoint, "token", {"program": "srvid", "protocol": 1, "version": "0.1"}


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 9, b"J" + b"\xff" * 8])
def test_garbage_in_the_socket_does_not_harm_the_worker(worker: RunningWorker, said: bytes) -> None:
    facts = json.loads(worker.path.read_text())
    with socket.create_connection(("127.0.0.1", facts["port"])) as endpoint:
        endpoint.sendall(said)
        endpoint.settimeout(5)
        while endpoint.recv(4096):
            pass
    assert client.ask("status")["pid"] == os.getpid()


def test_rows_past_the_end_of_the_image_are_refused(worker: RunningWorker) -> None:
    with pytest.raises(client.WorkerError, match="at most 12 bytes"):
        client.upscale(
            {"width": 2, "height": 2, "channels": 3, "sample": "u8", "scale": 2, "model": "nearest"},
            [bytes(13)],
            lambda y, count, rows: None,
        )


# ---- cancel


def test_a_side_of_the_result_is_exact_where_floats_are_not() -> None:
    assert [client.scaled(side, scale) for side, scale in ((100, 1.005), (3, 1.5), (35, 1.1), (1, 0.2))] == [
        101,
        5,
        39,
        1,
    ]
