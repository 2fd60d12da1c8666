"""The catalogue and its downloads, against a real HTTP server on this machine that can misbehave."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import onnx
import pytest
from click.testing import CliRunner

from sr_core.errors import BadInput, Cancelled, NotAvailable, SrError, StorageError
from sr_core.model_spec import read_spec
from sr_core.storage import cache_path
from sr_core.testing import random_model
from sr_zoo import download as transfer
from sr_zoo.catalogue import catalogue, find_entry, search
from sr_zoo.download import Expected, download
from sr_zoo.models import find_model, known_names, library_dir
from srvid.model_choice import load


@dataclass
class Site:
    """Paths and what they answer; `cut_after` breaks a transfer off there."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    cut_after: dict[str, int] = field(default_factory=dict)
    takes_ranges: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    found = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append((self.path, self.headers.get("Range", "")))
            if self.path in found.redirects:
                self.send_response(302)
                self.send_header("Location", found.redirects[self.path])
                self.end_headers()
                return
            if self.path not in found.files:
                self.send_error(404)
                return
            whole = found.files[self.path]
            first = 0
            if found.takes_ranges and (asked := self.headers.get("Range")):
                first = int(asked.removeprefix("bytes=").rstrip("-"))
                if first >= len(whole):
                    self.send_error(416)
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {first}-{len(whole) - 1}/{len(whole)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(whole) - first))
            self.end_headers()
            last = found.cut_after.pop(self.path, len(whole))
            self.wfile.write(whole[first:last])

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


CONTENTS = bytes(range(256)) * 3000
DIGEST = hashlib.sha256(CONTENTS).hexdigest()


def test_a_transfer_that_breaks_off_is_gone_on_with(site: Site, tmp_path: Path) -> None:
    site.files["/m.pth"], site.cut_after["/m.pth"] = CONTENTS, 300_000
    target, expected = tmp_path / "m.pth", Expected(size=len(CONTENTS), sha256=DIGEST)
    with pytest.raises(NotAvailable, match="broke off, 468000 bytes before the end"):
        download(f"{site.address}/m.pth", target, expected=expected)
    assert not target.exists()
    told: list[int] = []
    download(f"{site.address}/m.pth", target, expected=expected, told=lambda there, whole: told.append(there))
    assert target.read_bytes() == CONTENTS
    assert site.asked[-1] == ("/m.pth", "bytes=300000-")
    assert told[0] > 300_000
    assert told[-1] == len(CONTENTS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.pth"]


def test_a_server_without_ranges_begins_again(site: Site, tmp_path: Path) -> None:
    site.files["/m.pth"], site.takes_ranges = CONTENTS, False
    (tmp_path / "m.pth.part").write_bytes(b"other bytes")
    download(f"{site.address}/m.pth", tmp_path / "m.pth", expected=Expected(sha256=DIGEST))
    assert (tmp_path / "m.pth").read_bytes() == CONTENTS


def test_a_part_that_is_longer_than_the_file_begins_again(site: Site, tmp_path: Path) -> None:
    site.files["/m.pth"] = CONTENTS[:100]
    (tmp_path / "m.pth.part").write_bytes(CONTENTS[:200])
    download(f"{site.address}/m.pth", tmp_path / "m.pth", expected=Expected())
    assert (tmp_path / "m.pth").read_bytes() == CONTENTS[:100]


def test_another_file_than_the_catalogue_describes_is_deleted(site: Site, tmp_path: Path) -> None:
    site.files["/m.pth"] = CONTENTS[:-1] + b"!"
    with pytest.raises(BadInput, match="not the file that the catalogue describes"):
        download(f"{site.address}/m.pth", tmp_path / "m.pth", expected=Expected(sha256=DIGEST))
    assert list(tmp_path.iterdir()) == []


def test_more_than_was_expected_is_not_written(site: Site, tmp_path: Path) -> None:
    site.files["/m.pth"] = CONTENTS
    with pytest.raises(BadInput, match="768000 bytes, 1000 were expected"):
        download(f"{site.address}/m.pth", tmp_path / "m.pth", expected=Expected(size=1000))
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_is_followed_but_not_to_a_file_of_this_machine(site: Site, tmp_path: Path) -> None:
    site.files["/real"] = CONTENTS
    site.redirects = {"/m.pth": "/real", "/evil.pth": "file:///etc/passwd"}
    download(f"{site.address}/m.pth", tmp_path / "m.pth", expected=Expected(sha256=DIGEST))
    with pytest.raises(SrError, match=r"not an address of the web|answers 302"):
        download(f"{site.address}/evil.pth", tmp_path / "e.pth", expected=Expected())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.pth"]


def test_a_missing_file_and_a_missing_network_are_told_apart(site: Site, tmp_path: Path) -> None:
    with pytest.raises(NotAvailable, match="answers 404"):
        download(f"{site.address}/gone.pth", tmp_path / "m", expected=Expected())
    with pytest.raises(NotAvailable, match=r"127\.0\.0\.1 cannot be reached"):
        download("http://127.0.0.1:9/m.pth", tmp_path / "m", expected=Expected())
    with pytest.raises(BadInput, match="not an address of the web"):
        download("file:///etc/passwd", tmp_path / "m", expected=Expected())


def test_a_full_disk_is_said_to_be_full(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.files["/m.pth"] = CONTENTS
    real = Path.open

    def full(path: Path, *args: Any, **kwargs: Any) -> Any:
        if path.suffix == ".part" and "b" in str(args):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(StorageError, match="No space left") as refusal:
        download(f"{site.address}/m.pth", tmp_path / "m.pth", expected=Expected())
    assert "free some space" in refusal.value.hint


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_in_the_middle_is_said_to_be_full(site: Site, tmp_path: Path) -> None:
    site.files["/m.pth"] = CONTENTS
    (tmp_path / "m.pth.part").symlink_to("/dev/full")
    with pytest.raises(StorageError, match="No space left") as refusal:
        download(f"{site.address}/m.pth", tmp_path / "m.pth", expected=Expected(sha256=DIGEST))
    assert "free some space" in refusal.value.hint
    assert not (tmp_path / "m.pth").exists()


@pytest.fixture
def published(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A catalogue of three models on `site`, one of which can be got."""
    onnx.save(random_model(2, seed=77), tmp_path / "m.onnx")
    site.files["/m.onnx"] = (tmp_path / "m.onnx").read_bytes()
    good = {
        "type": "onnx", "size": len(site.files["/m.onnx"]),
        "sha256": hashlib.sha256(site.files["/m.onnx"]).hexdigest(), "urls": [f"{site.address}/m.onnx"],
    }  # fmt: skip
    facts = {"author": ["ann", "bob"], "license": "CC-BY-4.0", "tags": ["anime", "compression-removal"], "scale": 2}
    listed = {
        "2x-Good": facts | {"name": "Good \x1b[2J", "architecture": "compact", "resources": [good]},
        "4x-Page": facts | {"scale": 4, "resources": [good | {"urls": ["https://mega.nz/file/1"]}]},
        "1x-Zip": facts | {"scale": 1, "tags": ["dehalo"], "resources": [good | {"type": "zip"}]},
        "broken": {"scale": "two"},
    }
    site.files["/models.json"] = json.dumps(listed).encode()
    monkeypatch.setenv("SRVID_CATALOGUE", f"{site.address}/models.json")
    monkeypatch.setenv("SRVID_MODELS", str(tmp_path / "library"))
    monkeypatch.setenv("SRVID_CACHE", str(tmp_path / "cache"))
    return site


def command(*words: str, typed: str = "") -> tuple[int, str]:
    from srvid_cli.srkit.models import command as models

    done = CliRunner().invoke(models, words, input=typed)
    return done.exit_code, done.output + (str(done.exception) if done.exception else "")


def test_a_search_finds_by_every_word_and_shows_no_escape_codes(published: Site) -> None:
    assert [entry.name for entry in search("anime 2x", catalogue())] == ["2x-Good"]
    assert [entry.name for entry in search("dehalo", catalogue())] == ["1x-Zip"]
    code, output = command("search", "compact")
    assert code == 0
    assert "CC-BY-4.0" in output
    assert "\x1b" not in output + find_entry("2x-good", catalogue()).title
    assert [path for path, _ in published.asked] == ["/models.json"]  # kept for a day


def test_a_kept_list_serves_without_a_network_but_a_refresh_says_so(
    published: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue()
    monkeypatch.setattr("sr_zoo.catalogue.KEPT_SECONDS", -1.0)
    published.files.clear()
    assert len(catalogue()) == 3
    with pytest.raises(NotAvailable, match="404"):
        catalogue(refresh=True)


def test_a_list_that_a_wrong_clock_dated_in_the_future_is_asked_for_again(published: Site) -> None:
    catalogue()
    (kept,) = cache_path("catalogue").glob("*.json")
    os.utime(kept, (4e9, 4e9))
    catalogue()
    assert [path for path, _ in published.asked] == ["/models.json"] * 2


def test_a_page_instead_of_the_list_is_refused(published: Site) -> None:
    published.files["/models.json"] = b"<html>log in</html>"
    with pytest.raises(BadInput, match="serves no list of models"):
        catalogue()


def test_nothing_is_downloaded_before_the_licence_is_agreed_to(published: Site) -> None:
    code, output = command("get", "2x-Good", typed="")
    assert code != 0
    assert "licence  CC-BY-4.0" in output
    assert "was not downloaded" in output
    assert "/m.onnx" not in [path for path, _ in published.asked]


def test_a_model_that_was_got_runs_under_its_name_with_its_licence_beside(published: Site) -> None:
    code, output = command("get", "2x-good", "--yes")
    assert code == 0, output
    spec = read_spec(find_model("2x-Good"))
    assert (spec.licence, spec.purpose) == ("CC-BY-4.0", "anime, compression-removal")
    assert "ann, bob" in spec.attributions[0]
    assert "CC-BY-4.0" in (library_dir() / "2x-Good.txt").read_text()
    assert load("openmodeldb:2x-Good").spec.scale == 2
    assert not list(cache_path("downloads").iterdir())
    assert command("get", "2x-Good", "--yes")[0] == 0
    assert [path for path, _ in published.asked].count("/m.onnx") == 1
    assert command("remove", "2x-Good")[0] == 0
    assert known_names()[-1] != "2x-Good"
    assert not (library_dir() / "2x-Good.txt").exists()


def test_a_model_is_got_from_an_address_as_well(published: Site) -> None:
    code, output = command("get", f"{published.address}/m.onnx", "--name", "mine", "--yes")
    assert code == 0, output
    assert "nobody says what the file must be" in output
    assert load("mine").spec.scale == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("4x-Page", "only a browser gets it"),
        ("1x-Zip", "only published as zip"),
        ("2x-Goood", "has no model '2x-Goood'"),
        ("http://127.0.0.1/model.exe", "does not end like a model's file"),
    ],
)
def test_what_cannot_be_got_is_said_with_its_reason(published: Site, name: str, words: str) -> None:
    code, output = command("get", name, "--yes")
    assert code != 0
    assert words in output


def test_a_model_of_the_catalogue_is_never_downloaded_unasked(published: Site) -> None:
    from srvid_cli.getting import offer

    with pytest.raises(NotAvailable, match="nothing is downloaded unasked"):
        load("openmodeldb:2x-Good")
    with pytest.raises(NotAvailable, match="nothing is downloaded unasked") as refusal:
        offer("openmodeldb:2x-Good,clear")  # no terminal to ask on
    assert "srkit models get" in refusal.value.hint
    assert published.asked == []
    assert offer("a.pth,clear") == "a.pth,clear"


@pytest.mark.parametrize("is_wanted", [True, False], ids=["yes", "no"])
def test_on_a_terminal_a_model_of_the_catalogue_is_asked_for_with_its_licence(
    published: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_wanted: bool
) -> None:
    from srvid_cli import getting

    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr(getting.click, "confirm", lambda text, **_: asked.append(text) or is_wanted)
    if is_wanted:
        assert getting.offer("openmodeldb:2x-Good,clear") == "2x-Good,clear"
    else:
        with pytest.raises(Cancelled, match="2x-Good was not downloaded"):
            getting.offer("openmodeldb:2x-Good,clear")
    assert asked == ["download it under this licence?"]
    assert "licence  CC-BY-4.0" in capsys.readouterr().err
    assert ("/m.onnx" in [path for path, _ in published.asked]) == is_wanted


def test_without_a_network_a_search_says_so(published: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRVID_CATALOGUE", "http://127.0.0.1:9/models.json")
    code, output = command("search", "anime")
    assert code != 0
    assert "127.0.0.1 cannot be reached" in output


def test_the_range_survives_a_redirect(site: Site, tmp_path: Path) -> None:
    site.files["/real"], site.redirects["/m.pth"] = CONTENTS, "/real"
    (tmp_path / "m.pth.part").write_bytes(CONTENTS[:1000])
    transfer.download(f"{site.address}/m.pth", tmp_path / "m.pth", expected=Expected(sha256=DIGEST))
    assert site.asked[-1] == ("/real", "bytes=1000-")
