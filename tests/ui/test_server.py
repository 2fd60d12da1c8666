"""The server as scripts use it: who may ask, what may be touched, and a queue that nothing ends."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from PIL import Image, UnidentifiedImageError
from starlette.requests import Request

from sr_ui.api import Call, Endpoint, routes_of
from sr_ui.work import arguments_of
from tests.ui.conftest import QUIET_SECONDS, MakeClip, Ui

Start = Callable[..., Ui]
FAST = {"model": "nearest", "scale": 2}
SWIFT = {"model": "swift", "scale": 4}


def raw(ui: Ui, method: str, path: str, **headers: str) -> int:
    """The status for exactly these headers."""
    host, _, port = ui.base.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port))
    connection.putrequest(method, path, skip_host=True)
    for name, value in {"Host": f"{host}:{port}", **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


def test_only_this_user_with_the_token_from_this_host_and_page_is_served(ui: Start) -> None:
    server = ui()
    bearer = {"Authorization": f"Bearer {server.token}"}
    port = server.base.rpartition(":")[2]
    cookie = {"Cookie": f"srvid-{port}={server.token}"}
    assert raw(server, "GET", "/api/state") == 401
    assert raw(server, "GET", "/api/state", Authorization="Bearer guess") == 401
    assert raw(server, "GET", "/?token=guess") == 401
    assert raw(server, "GET", "/api/state", **bearer) == 200
    assert raw(server, "GET", "/api/state", **cookie) == 200
    assert raw(server, "GET", "/api/state", **bearer, Host="evil.example:80") == 403
    assert raw(server, "GET", "/api/state", **cookie, Origin="http://evil.example") == 403
    assert raw(server, "POST", "/api/folder", **cookie) == 403  # a change with the cookie alone: no Origin
    assert raw(server, "DELETE", "/api/files/x", **cookie, Origin=server.base) == 404


def test_no_path_outside_of_the_roots_is_opened_not_even_through_a_link(ui: Start, tmp_path: Path) -> None:
    server = ui()
    (tmp_path / "door").symlink_to("/etc")
    for path in ("/etc/passwd", str(tmp_path / "door" / "passwd"), f"{tmp_path}/../../../../etc/passwd", "\0"):
        status, found = server.ask("POST", "/api/files", {"path": path})
        assert (status, bool(found["error"])) == (422, True), path
    assert server.ask("POST", "/api/folder", {"path": "/etc"})[0] == 422
    job = {"sources": ["/etc/passwd"], "options": FAST}
    assert server.ask("POST", "/api/jobs", job)[0] == 422
    assert server.ask("PUT", "/api/uploads?name=..%2Fout.mp4", b"x")[0] == 422
    assert server.ask("POST", "/api/files/locate", {"name": "..", "size": 0, "holds": ["a"]})[1]["path"] is None
    assert server.ask("POST", "/api/files/locate", {"name": "tmp", "size": 0, "holds": []})[0] == 400  # could be any
    assert raw(server, "PUT", "/api/uploads?name=a.mp4", Authorization=f"Bearer {server.token}") == 411
    large = {"Authorization": f"Bearer {server.token}", "Content-Length": "2000000001"}
    assert raw(server, "PUT", "/api/uploads?name=a.mp4", **large) == 422  # refused before a byte is sent


def test_a_contact_sheet_shows_no_picture_that_a_link_leads_out_to(
    ui: Start, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.png"
    Image.new("RGB", (8, 8), "teal").save(outside)
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (8, 8), "teal").save(folder / "a.png")
    (folder / "b.png").symlink_to(outside)
    server = ui(folder)
    file = server.ask("GET", "/api/state")[1]["files"][0]["id"]
    assert [server.ask("GET", f"/api/files/{file}/sheet/{number}")[0] for number in range(3)] == [200, 422, 404]


def test_a_file_that_was_deleted_since_is_said_and_no_fault_of_the_server(ui: Start, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "teal").save(tmp_path / "a.png")
    server = ui(tmp_path / "a.png")
    file = server.ask("GET", "/api/state")[1]["files"][0]["id"]
    (tmp_path / "a.png").unlink()
    for route in ("", "/thumbnail", "/frame?seconds=0&model=nearest&scale=2", "/frame?seconds=0&model=bicubic&scale=2"):
        status, told = server.ask("GET", f"/api/files/{file}{route}")
        assert (status, "no such file" in told["error"].lower()) == (422, True), (route, told)


def test_a_fault_that_names_no_file_is_not_told_as_a_file_that_was_moved() -> None:
    def fails(call: Call) -> None:
        raise UnidentifiedImageError("cannot identify image file")  # an OSError, as network errors are

    (route,) = routes_of((Endpoint(method="GET", path="/", summary="", handler=fails),))
    request = Request({"type": "http", "method": "GET", "path_params": {}, "query_string": b"", "headers": []})
    with pytest.raises(UnidentifiedImageError):
        asyncio.run(route.endpoint(request))


def test_a_dropped_file_is_found_where_it_lies_and_a_small_one_is_kept_whole(
    ui: Start, make_clip: MakeClip, tmp_path: Path
) -> None:
    server, clip = ui(), make_clip("film.mp4")
    size = clip.stat().st_size
    status, found = server.ask("POST", "/api/files/locate", {"name": "film.mp4", "size": size})
    assert (status, found["path"]) == (200, str(clip))
    assert server.ask("POST", "/api/files/locate", {"name": "film.mp4", "size": size + 1})[1]["path"] is None
    status, file = server.ask("PUT", "/api/uploads?name=sent.mp4", clip.read_bytes())
    assert status == 201
    assert Path(file["path"]).read_bytes() == clip.read_bytes()
    other = server.ask("PUT", "/api/uploads?name=sent.mp4", b"another camera's")[1]
    assert (other["name"], other["id"] == file["id"]) == ("sent.mp4", False)
    assert Path(file["path"]).read_bytes() == clip.read_bytes()  # a job may be reading it
    again = server.ask("PUT", "/api/uploads?name=sent.mp4", clip.read_bytes())[1]
    assert again["id"] == file["id"]


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX only")
def test_a_name_that_is_no_text_goes_there_and_back(ui: Start, make_clip: MakeClip, tmp_path: Path) -> None:
    name = b"caf\xe9 <b>.mp4"
    try:
        make_clip("a.mp4").rename(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    except OSError:
        pytest.skip("this file system takes text only")
    server = ui()
    entries = server.ask("POST", "/api/folder", {"path": str(tmp_path)})[1]["entries"]
    path = next(entry["path"] for entry in entries if entry["kind"] == "video")
    file = server.ask("POST", "/api/files", {"path": path})[1]
    assert os.fsencode(file["path"]).endswith(name)
    assert server.ask("GET", f"/api/files/{file['id']}")[0] == 200


def test_facts_say_in_words_what_a_file_is_and_suggest(ui: Start, make_clip: MakeClip) -> None:
    clip = make_clip("film.mp4")
    server = ui(clip)
    file = server.ask("GET", "/api/state")[1]["files"][0]
    advice = server.ask("GET", f"/api/files/{file['id']}")[1]["advice"]
    assert "96 × 64" in advice["words"]
    assert "no sound" in advice["words"]
    assert "clean" in advice["words"]
    assert (advice["suggestion"]["scale"], advice["suggestion"]["model"]) == (4, "clear")
    estimate = server.ask("POST", f"/api/files/{file['id']}/estimates", {"model": "nearest", "scale": 2})[1]
    assert (estimate["width"], estimate["height"], estimate["frames"]) == (192, 128, 25)
    assert estimate["fps"] > 0
    assert estimate["output_bytes"] > 0


def test_a_queued_video_is_followed_to_its_verified_end(ui: Start, make_clip: MakeClip, tmp_path: Path) -> None:
    server = ui(make_clip("film.mp4"))
    target = tmp_path / "large.mkv"
    job = server.ask(
        "POST", "/api/jobs", {"sources": [str(tmp_path / "film.mp4")], "target": str(target), "options": FAST}
    )
    found = server.wait_for(job[1]["id"], "done")
    assert found["done"] == 25
    with av.open(str(target)) as container:
        frames = list(container.decode(video=0))
    assert (len(frames), frames[0].width, frames[0].height) == (25, 192, 128)
    assert any(line.startswith("$ srvid ") for line in server.ask("GET", f"/api/jobs/{job[1]['id']}/log")[1]["lines"])


def test_an_error_keeps_its_hint(ui: Start, make_clip: MakeClip, tmp_path: Path) -> None:
    clip = make_clip("film.mp4")
    (tmp_path / "there.mkv").write_bytes(b"mine")
    server = ui()
    body = {"sources": [str(clip)], "target": str(tmp_path / "there.mkv"), "options": FAST}
    job = server.ask("POST", "/api/jobs", body)[1]
    found = server.wait_for(job["id"], "failed")
    assert "there.mkv" in found["error"]
    assert "overwrite" in found["hint"]
    assert (tmp_path / "there.mkv").read_bytes() == b"mine"
    assert found["can_replace"]
    assert server.ask("POST", f"/api/jobs/{job['id']}", {"action": "replace"})[1]["state"] == "waiting"
    assert not server.wait_for(job["id"], "done")["can_replace"]
    assert (tmp_path / "there.mkv").read_bytes() != b"mine"
    assert server.ask("POST", f"/api/jobs/{job['id']}", {"action": "replace"})[0] == 422


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds child processes in /proc")
LONG = 600  # frames of 64x48: some seconds of work, so that its middle is not missed


@needs_proc
def test_what_was_begun_when_the_power_went_is_finished_by_the_next_server(
    ui: Start, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip, target = make_clip("film.mp4", frames=LONG, width=64, height=48), tmp_path / "large.mkv"
    first = ui()
    job = first.ask("POST", "/api/jobs", {"sources": [str(clip)], "target": str(target), "options": SWIFT})[1]["id"]
    first.wait_for_segment(job)
    assert first.kill(with_children=True) != []
    assert not target.exists()
    found = ui().wait_for(job, "done")
    with av.open(str(target)) as container:
        assert sum(1 for _ in container.decode(video=0)) == LONG
    assert found["done_before"] > 0  # it went on, and did not begin again


def test_what_was_finished_as_the_server_was_killed_is_no_failure_of_the_next(
    ui: Start, make_clip: MakeClip, tmp_path: Path
) -> None:
    clip, target = make_clip("film.mp4"), tmp_path / "large.mkv"
    first = ui()
    job = first.ask("POST", "/api/jobs", {"sources": [str(clip)], "target": str(target), "options": FAST})[1]["id"]
    first.wait_for(job, "done")
    first.kill()
    kept = tmp_path / "cache" / "ui" / "queue.json"
    queue = json.loads(kept.read_text())
    queue["jobs"][0] |= {"state": "running", "output_bytes": 0}  # the last it wrote, had it died a moment earlier
    kept.write_text(json.dumps(queue))
    made = target.read_bytes()
    found = ui().wait_for(job, "done")
    assert (found["error"], found["output_bytes"]) == ("", len(made))
    assert target.read_bytes() == made


def test_a_paused_job_keeps_its_segments_and_goes_on(ui: Start, make_clip: MakeClip, tmp_path: Path) -> None:
    clip, target = make_clip("film.mp4", frames=LONG, width=64, height=48), tmp_path / "large.mkv"
    server = ui()
    job = server.ask("POST", "/api/jobs", {"sources": [str(clip)], "target": str(target), "options": SWIFT})[1]["id"]
    server.wait_for_segment(job)
    assert server.ask("POST", f"/api/jobs/{job}", {"action": "pause"})[1]["state"] == "pausing"
    server.wait_for(job, "paused")
    kept = server.ask("GET", f"/api/jobs/{job}/segments")[1]
    assert 0 < kept["playable"] < kept["segments"]
    status, video = server.ask("GET", f"/api/jobs/{job}/segments/0")
    assert (status, video[4:8]) == (200, b"ftyp")
    server.ask("POST", f"/api/jobs/{job}", {"action": "resume"})
    assert server.wait_for(job, "done")["done_before"] > 0


def test_jobs_change_places_and_a_cancelled_one_is_dropped_with_its_segments(
    ui: Start, make_clip: MakeClip, tmp_path: Path
) -> None:
    server = ui()
    ids = []
    for name in ("a", "b", "c"):
        clip = make_clip(f"{name}.mp4", frames=LONG, width=64, height=48)
        body = {"sources": [str(clip)], "target": str(tmp_path / f"{name}.mkv"), "options": SWIFT}
        ids.append(server.ask("POST", "/api/jobs", body)[1]["id"])
    server.ask("POST", f"/api/jobs/{ids[2]}", {"action": "move", "place": 1})
    assert [job["id"] for job in server.ask("GET", "/api/jobs")[1]] == [ids[0], ids[2], ids[1]]
    server.wait_for(ids[0], "running")
    for job in reversed(ids):
        assert server.ask("POST", f"/api/jobs/{job}", {"action": "cancel"})[1]["state"] == "cancelled"
    assert server.stop() in (0, 130)
    again = ui()
    for job in ids:
        assert again.ask("DELETE", f"/api/jobs/{job}")[0] == 200
    assert again.ask("GET", "/api/jobs")[1] == []
    assert list(tmp_path.glob("*.srvid")) == []


def test_a_folder_of_images_runs_through_srbatch(ui: Start, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (20 + number, 16), (40 * number, 90, 120)).save(folder / f"{number}.png")
    server = ui(folder)
    file = server.ask("GET", "/api/state")[1]["files"][0]
    assert len(server.ask("GET", f"/api/files/{file['id']}")[1]["images"]) == 3
    job = server.ask("POST", "/api/jobs", {"sources": [str(folder)], "options": {"model": "swift", "scale": 2}})[1]
    found = server.wait_for(job["id"], "done")
    assert len(found["results"]) == 3
    widths = []
    for _, made in found["results"]:
        with Image.open(made) as image:
            widths.append(image.width)
    assert sorted(widths) == [40, 42, 44]


def test_ctrl_c_lets_those_go_who_wait_for_a_picture(ui: Start, tmp_path: Path) -> None:
    Image.effect_noise((2000, 1500), 60).save(tmp_path / "large.png")
    server = ui(tmp_path / "large.png")
    file = server.ask("GET", "/api/state")[1]["files"][0]["id"]
    host, _, port = server.base.removeprefix("http://").partition(":")
    waiting = http.client.HTTPConnection(host, int(port), timeout=QUIET_SECONDS)
    bearer = {"Authorization": f"Bearer {server.token}"}
    waiting.request("GET", f"/api/files/{file}/frame?model=clear&scale=4", headers=bearer)
    server.ask("GET", f"/api/files/{file}/thumbnail")  # the frame's turn has come before
    assert server.stop() in (0, 130)
    answer = waiting.getresponse()
    assert (answer.status, json.loads(answer.read())["error"]) == (500, "the server ends")
    waiting.close()


def test_a_second_server_of_the_same_user_leaves_the_queue_to_the_first(ui: Start, tmp_path: Path) -> None:
    first = ui()
    command = [sys.executable, "-m", "srvid", "--no-browser"]
    environment = os.environ | {"SRVID_CACHE": str(tmp_path / "cache")}
    second = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=QUIET_SECONDS
    )
    assert second.returncode == 1
    assert "`srkit ui` runs already, and has the queue" in second.stderr
    assert first.ask("GET", "/api/state")[0] == 200


def test_the_document_of_the_api_is_complete_json(ui: Start) -> None:
    found = ui().ask("GET", "/openapi.json")[1]
    assert found["openapi"].startswith("3.1")
    assert {"get", "post"} <= found["paths"]["/api/jobs"].keys()
    assert json.dumps(found)


def test_steady_beside_grain_is_refused_before_it_waits_for_its_turn(ui: Start, make_clip: MakeClip) -> None:
    clip = make_clip("film.mp4")
    server = ui(clip)
    file = server.ask("GET", "/api/state")[1]["files"][0]["id"]
    options = {"model": "swift", "scale": 2, "steady": True, "grain": "keep"}
    for path, body in (
        ("/api/jobs", {"sources": [str(clip)], "options": options}),
        (f"/api/files/{file}/estimates", options),
        (f"/api/files/{file}/clips", options | {"start": 0}),
    ):
        status, found = server.ask("POST", path, body)
        assert (status, found["hint"]) == (422, "leave one out")
    assert server.ask("GET", "/api/jobs")[1] == []


def test_a_job_is_the_command_a_person_would_type() -> None:
    options = {"model": "swift", "scale": 2.0, "grain": "keep", "steady": True, "no_audio": True}
    typed = arguments_of("video", ["in.mp4"], "out.mkv", options)
    assert typed == "srvid --model swift --scale 2 --grain keep --no-audio --steady --json -- in.mp4 out.mkv".split()
    images = arguments_of("images", ["in"], "out", options)
    assert images == "srbatch --model swift --scale 2 --grain keep --json -- in out".split()
