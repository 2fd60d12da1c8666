"""What is run in a copy of each folder of cases, and what must come of it.

A row without commands is held by the test it names: it needs a process of its own, a service or a network.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PLAIN = "--scale 2 --model nearest"
FAST = f"{PLAIN} --preset ultrafast"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One folder.

    Attributes:
        commands: run one after the other.
        code: what each must end with; None: 0 or 1, both in words.
        says: a regular expression that all they print together must match; `never` one that it must not.
        before: name → 'folder', 'fifo', 'picture', 'locked' (a picture in a folder that nobody may read), or
            '-> target' of a link, made first. With a locked one, root obeys permissions too.
        untouched: files that must be as they were.
        made: files that must be there.
        held_by: the test, where there is nothing to run here.
    """

    commands: tuple[str, ...] = ()
    code: int | None = None
    says: str = ""
    never: str = ""
    before: dict[str, str] = field(default_factory=dict)
    untouched: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    held_by: str = ""


def _image(name: str, code: int | None = 1, says: str = "") -> Row:
    return Row(commands=(f"srbatch {name} out {PLAIN}",), code=code, says=says)


def _model(*words: str, says: str = "") -> Row:
    return Row(commands=(" ".join(words),), says=says)


def _video(name: str, target: str, *more: str, says: str = "", code: int | None = None) -> Row:
    speed = "--preset 12" if target.endswith("webm") else "--preset ultrafast"
    return Row(commands=(" ".join((f"srvid {name} {target} {PLAIN} {speed}", *more)),), code=code, says=says)


_BRIEF = "srbatch tiny.png x.png --scale 2 --model in.onnx"
_CLIP = "srvid raw.y4m o.mkv --scale 2 --model in.onnx"
_DATALOSS = tuple(f"srvid in.{kind} {kind}.mkv {FAST}" for kind in ("h264", "mp4", "mkv"))
_CRASH, _LOSS, _ATTACK_IMAGE, _ONNX, _VIDEO = (
    f"attack/{name}" for name in ("crash", "dataloss", "image", "onnx", "video")
)

ROWS: dict[str, Row] = {
    # images
    "apng_hidden_image": _image("apng_hidden.png", 0, "note: .*(still|hidden)"),
    "camera_raw_thumbnail": _image("raw.dng", 1, "camera raw"),
    "jpeg_gain_map_and_motion_photo": Row(
        commands=(f"srbatch motion.jpg a.jpg {PLAIN}", f"srbatch ultrahdr.jpg b.jpg {PLAIN}"),
        code=0,
        says="(?s)motion photo.*gain map",
    ),
    "pq_png_to_jpeg": Row(commands=(f"srbatch pq.png out.jpg {PLAIN}",), code=1, says="PQ|HDR"),
    "srbatch_out_with_unknown_ending": Row(commands=(f"srbatch noise.png out.tga {PLAIN}",), code=1, says=r"\.?tga"),
    "tiff_georeference_and_ome": Row(
        commands=(f"srbatch geo.tif a.tif {PLAIN}", f"srbatch ome.ome.tif b.ome.tif {PLAIN}"),
        code=0,
        made=("a.tif", "b.ome.tif"),
    ),
    f"{_ATTACK_IMAGE}/bad-chrm-copied": _image("in.png", 0, "note: .*cHRM|note: .*chunk"),
    f"{_ATTACK_IMAGE}/unclear-Errno-22-Invalid-argument": _image("in.tif", None),
    f"{_ATTACK_IMAGE}/unclear-unexpected-DecompressionBombError-Image-size": _image("in.webp"),
    f"{_ATTACK_IMAGE}/unclear-unexpected-RuntimeError-Conversion-from-YUV-fail": _image("in.avif"),
    f"{_ATTACK_IMAGE}/unclear-unexpected-RuntimeError-Error-while-loading-plug": _image("in.heic"),
    f"{_ATTACK_IMAGE}/unclear-unexpected-RuntimeError-Failed-to-decode-frame": _image("in.avif"),
    f"{_ATTACK_IMAGE}/unclear-unexpected-RuntimeError-Failed-to-decode-image": _image("in.avif"),
    f"{_ATTACK_IMAGE}/unclear-unexpected-TypeError-attribute": _image("in.exr", None),
    f"{_CRASH}/gif-bomb": _image("in.gif", 1, "80000|megapixels"),
    f"{_CRASH}/progressive-bomb": _image("in.jpg", 1, "states 30000x30000"),
    f"{_CRASH}/journal-folder": Row(
        commands=(f"srbatch a.png out {PLAIN}",), code=1, before={"out/.srbatch.jsonl": "folder"}
    ),
    f"{_CRASH}/journal-fifo": Row(
        commands=(f"srbatch a.png out {PLAIN}",), code=1, before={"out": "folder", "out/.srbatch.jsonl": "fifo"}
    ),
    f"{_CRASH}/journal-link": Row(
        commands=(f"srbatch a.png out {PLAIN}",),
        code=1,
        before={"out": "folder", "out/.srbatch.jsonl": "-> ../victim.txt"},
        untouched=("victim.txt",),
    ),
    **{
        f"attack/journal/target-{kind}": Row(commands=(f"srbatch a.png out {PLAIN}",), code=0, made=("out/a.png",))
        for kind in ("list", "nul", "number", "surrogate")
    },
    # models
    "fp16_and_fixed_shape_onnx": Row(
        commands=("srkit models import fp16_2.onnx -o a.onnx", "srkit models import fixed64_2.onnx -o b.onnx"),
        code=0,
        made=("a.onnx", "b.onnx"),
    ),
    "onnx_import_says_yes_run_says_no": Row(
        commands=("srkit models import op8_ir3.onnx -o a.onnx", "srvid small.mkv out.mkv --model a.onnx --scale 2"),
        code=0,
        made=("out.mkv",),
    ),
    "onnx_renaming_breaks_graph": Row(
        commands=("srkit models import if_2.onnx -o a.onnx", "srkit models import names_2.onnx -o b.onnx"),
        code=0,
    ),
    "onnx_window_7_12_24": Row(
        commands=("srkit models import win12_2.onnx -o a.onnx", "srkit models import win7_2.onnx -o b.onnx"), code=0
    ),
    "torch_import_cryptic": Row(held_by="tests/zoo/test_importing.py"),
    f"{_CRASH}/model-name-control": Row(commands=("srvid raw.y4m o.mkv --scale 2 --model esc.onnx",)),
    f"{_CRASH}/onnx-cycle": _model("srkit models info in.onnx", says="cycle|sorted"),
    f"{_CRASH}/onnx-opset-hang": _model("srkit models info in.onnx", says="version 10995"),
    f"{_CRASH}/onnx-segfault": Row(
        commands=(
            *(f"srkit models info {name}.onnx" for name in ("conv", "pad", "pad0")),
            "srvid raw.y4m o.mkv --scale 2 --model conv.onnx",
        ),
    ),
    f"{_ONNX}/signal11": _model("srkit models info in.onnx"),
    f"{_ONNX}/tb-cli-srvid-cli-srkit-models-py-51-AttributeError": _model("srkit models info in.onnx"),
    f"{_ONNX}/tb-sr-core-model-spec-py-133-RuntimeError": _model("srkit models info in.onnx"),
    f"{_ONNX}/tb-sr-core-model-spec-py-133-ValueError": _model("srkit models import in.onnx -o x.onnx"),
    f"{_ONNX}/tb-sr-core-model-spec-py-58-TypeError": _model("srkit models info in.onnx"),
    f"{_ONNX}/tb-sr-core-model-spec-py-62-TypeError": _model("srkit models info in.onnx"),
    f"{_ONNX}/tb-sr-core-model-spec-py-88-TypeError": _model("srkit models import in.onnx -o x.onnx"),
    f"{_ONNX}/tb-sr-core-onnx-builder-py-103-KeyError": _model(_CLIP),
    f"{_ONNX}/tb-sr-zoo-onnx-run-py-35-TypeError": _model(_CLIP),
    f"{_ONNX}/tb-sr-zoo-onnx-run-py-50-UnicodeDecodeError": _model(_CLIP),
    f"{_ONNX}/unclear-unexpected-KeyError": _model(_BRIEF),
    f"{_ONNX}/unclear-unexpected-RuntimeError": _model(_BRIEF),
    # videos
    "bogus_container_duration": Row(
        commands=(f"srvid vobsub_d.mkv out.mkv {FAST}",),
        code=0,
        made=("out.mkv",),
        says=r"out\.mkv: 20 frames in",
        never="room may",
    ),
    "codecless_data_to_mov": _video("mebx.mp4", "out.mov", code=0, says="stream 2, data.* is lost"),
    "dvd_subpicture_to_mp4": _video("vobsub_small.vob", "out.mp4", code=0),
    "language_codes": Row(
        commands=(
            f"srvid lang_fre.mkv a.mov {FAST}",
            f"srvid lang_pt-BR.mkv b.mp4 {FAST}",
            f"srvid lang_deu.mkv c.mov {FAST}",
            f"srvid lang_en.mkv d.mp4 {FAST}",
        ),
        code=0,
        never="is lost",
    ),
    "named_pipe_as_input": Row(
        commands=(f"srvid f out.mkv {FAST}",), code=1, says="is a pipe.*\n.*give -", before={"f": "fifo"}
    ),
    "overlapping_subtitles_to_mp4": Row(
        commands=(f"srvid yt.mkv a.mp4 {FAST}", f"srvid sign.mkv b.mov {FAST}"), code=0, never="is lost"
    ),
    "pcm_packets_not_1024": _video("pcm_per_frame.avi", "out.mov", code=0),
    "pcm_without_layout_to_mp4": _video("pcm_stereo.avi", "out.mp4", code=0, says="becomes alac"),
    "rgb555_white_is_grey": Row(
        held_by="tests/video/test_pixels.py::test_every_pixel_format_is_read_as_swscale_reads_it"
    ),
    "side_stream_without_decoder": Row(
        commands=tuple(
            f"srvid {name} {name}.{ending} {FAST}"
            for name in ("apac.mov", "teletext.ts", "ttml.mp4", "unk_aud.mkv", "unk_sub.mkv", "unk_vid2.mkv")
            for ending in ("mp4", "mkv", "mov")
        ),
        code=0,
        says="unknown kind",
    ),
    "size_limit_hint": Row(
        commands=("srvid wide.mkv out.mkv --model nearest",), code=1, says="16384(?s:.*)--codec libx265"
    ),
    f"{_CRASH}/fifo-input": Row(
        commands=(f"srvid ff.mp4 o.mkv {FAST}",), code=1, says="pipe", before={"ff.mp4": "fifo"}
    ),
    f"{_CRASH}/part-fifo": Row(commands=(f"srvid m20.mp4 o.mp4 {FAST}",), before={"o.mp4.part": "fifo"}),
    f"{_CRASH}/part-folder": Row(commands=(f"srvid m20.mp4 o.mp4 {FAST}",), code=1, before={"o.mp4.part": "folder"}),
    f"{_CRASH}/srvid-subfolder": Row(
        commands=(f"srvid m20.mp4 o.mp4 {FAST} --segment 5 --restart",), code=1, untouched=("o.mp4.srvid/sub/f",)
    ),
    f"{_CRASH}/locked-folder": Row(
        commands=(f"srvid locked/x.mp4 o.mp4 {FAST}",),
        code=1,
        says="cannot read locked/x.mp4: Permission denied",
        before={"locked/x.mp4": "locked"},
    ),
    f"{_LOSS}/locked-subfolder": Row(
        commands=(f"srbatch in out {PLAIN}",),
        code=1,
        says="in/locked.*Permission denied|locked: Permission denied",
        before={"in/a.png": "picture", "in/locked/b.png": "locked"},
        made=("out/a.png",),
    ),
    f"{_CRASH}/long-input-name": Row(
        commands=(f"srvid {'p' * 300}.mp4 o.mp4", f"srbatch {'p' * 300}.png out"), code=1, says="p{300}"
    ),
    f"{_LOSS}/frame-threads-drop": Row(commands=_DATALOSS, code=1, says="(?s)in.h264 is damaged.*in.mkv is damaged"),
    f"{_LOSS}/segments-differ": Row(commands=(f"srvid in.mp4 b.mkv {FAST} --segment 0.3",), says="damaged|note: "),
    f"{_LOSS}/srvid-folder-link": Row(
        commands=(f"srvid m20.mp4 o.mp4 {FAST} --segment 5",),
        code=1,
        says="is a link",
        before={"o.mp4.srvid": "-> precious"},
    ),
    "attack/security/part-link": Row(
        commands=(f"srvid m20.mp4 o.mp4 {FAST}",), before={"o.mp4.part": "-> victim.txt"}, untouched=("victim.txt",)
    ),
    "attack/security/terminal-escapes": Row(
        commands=(
            "srvid e.mkv o.webm --scale 2 --model nearest --preset 12 --end 0.2",
            "srkit models info esc.onnx",
            "srkit models import esc.onnx -o x.onnx",
            "srbatch tiny.png t.png --scale 2 --model op.onnx",
        ),
        says=r"\\x1b",
    ),
    f"{_VIDEO}/VERIFY-frame-N-at-N-N-has-the-timestamp-N-s-expected-N-s": _video("in.mp4", "o.mkv"),
    f"{_VIDEO}/VERIFY-it-has-the-streams-Q-Q-Q-expected-Q-Q-Q-and-N-attac": _video("in.mp4", "o.mov"),
    f"{_VIDEO}/VERIFY-it-has-the-streams-Q-Q-expected-Q-Q-and-N-attachments": _video("in.mp4", "o.mov"),
    f"{_VIDEO}/VERIFY-it-has-the-streams-Q-expected-Q-and-N-attachments": _video("in.mp4", "o.mov"),
    f"{_VIDEO}/VERIFY-its-sample-aspect-ratio-is-N-expected-N": _video("in.mp4", "o.mp4"),
    f"{_VIDEO}/VERIFY-stream-N-has-the-language-Q-expected-Q": _video("in.webm", "o.mov"),
    f"{_VIDEO}/VERIFY-stream-N-subtitle-has-N-packets-expected-N": _video("in.mp4", "o.mp4", "--salvage"),
    f"{_VIDEO}/healthy-cover-to-mov": _video("in.mp4", "o.mov", code=0, says="cover.* is lost"),
    f"{_VIDEO}/tb-sr-core-media-sound-py-45-ValueError": _video("in.ts", "o.webm", "--salvage"),
    f"{_VIDEO}/tb-sr-core-media-source-py-349-ValueError": _video("in.ogv", "o.mov", "--salvage"),
    f"{_VIDEO}/tb-sr-core-media-streams-py-116-AttributeError": _video("in.mov", "o.webm"),
    f"{_VIDEO}/unclear-cannot-write-o-mkv-Invalid-argument": _video("in.mp4", "o.mkv"),
    f"{_VIDEO}/unclear-cannot-write-o-mov-Invalid-argument": _video("in.mov", "o.mov"),
    # held elsewhere
    f"{_CRASH}/out-folder-vanishes": Row(
        held_by="tests/video/test_files_of_others.py::test_an_output_folder_that_vanishes_is_named"
    ),
    f"{_CRASH}/threads-of-finished-segments": Row(
        held_by="tests/video/segments/test_resources.py::test_threads_of_finished_segments_are_gone"
    ),
    "attack/job": Row(
        held_by="tests/video/segments/test_work_folder.py::test_no_mutation_of_a_manifest_or_a_record_is_believed"
    ),
    "attack/security/cwd-code": Row(held_by="tests/cli/test_current_folder.py"),
    "attack/serve/deep-json": Row(
        held_by="tests/plugins/test_worker_abuse.py::test_a_request_that_is_not_one_is_refused_without_a_traceback"
    ),
    "attack/serve/emfile": Row(
        held_by="tests/plugins/test_worker_abuse.py::test_used_up_descriptors_do_not_end_the_worker"
    ),
    "attack/serve/slow-loris": Row(held_by="tests/plugins/test_worker_abuse.py::test_slow_bytes_end_with_the_greeting"),
}
