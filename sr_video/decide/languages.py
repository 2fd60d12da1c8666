"""What a container calls a language: found by writing one track with that name and reading it back.

MOV knows QuickTime's list, MP4 any three letters, Matroska whatever it is given; the two bibliographic
and terminological spellings of ISO 639-2 and the two letters of ISO 639-1 mean the same.
"""

from __future__ import annotations

import io
from functools import cache

import av
import numpy as np

UNKNOWN = "und"
_CODES = tuple(
    entry.split()
    for entry in (
        "en eng,fr fra fre,de deu ger,es spa,it ita,pt por,nl nld dut,sv swe,da dan,no nor,nb nob,nn nno,fi fin,"
        "is isl ice,pl pol,cs ces cze,sk slk slo,hu hun,ro ron rum,bg bul,ru rus,uk ukr,be bel,sr srp,hr hrv,bs bos,"
        "sl slv,mk mkd mac,sq sqi alb,el ell gre,tr tur,he heb,ar ara,fa fas per,hi hin,ur urd,bn ben,ta tam,te tel,"
        "ml mal,mr mar,gu guj,pa pan,th tha,vi vie,id ind,ms msa may,tl tgl,zh zho chi,ja jpn,ko kor,ka kat geo,"
        "hy hye arm,az aze,kk kaz,uz uzb,mn mon,lt lit,lv lav,et est,eu eus baq,ca cat,gl glg,cy cym wel,ga gle,"
        "my mya bur,bo bod tib,mi mri mao,la lat,sw swa,af afr,yi yid"
    ).split(",")
)


def stored_language(language: str, muxer: str) -> str:
    """The name of `language` that a `muxer` file keeps; 'und' where it has none."""
    if muxer not in ("mp4", "mov") or language == UNKNOWN:
        return language
    return next((name for name in _spellings(language) if _is_kept(name, muxer)), UNKNOWN)


def _spellings(language: str) -> list[str]:
    """`language` and what means the same, less the region: 'pt-BR' is 'por'."""
    base = language.replace("_", "-").partition("-")[0].lower()
    same = next((codes for codes in _CODES if base in codes), [base])
    return [language, *(code for code in same if len(code) == 3)]


@cache
def _is_kept(language: str, muxer: str) -> bool:
    file = io.BytesIO()
    try:
        with av.open(file, "w", format=muxer) as out:
            track = out.add_stream("alac", rate=8000, layout="mono")
            track.metadata["language"] = language
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), format="s16p", layout="mono")
            frame.sample_rate, frame.pts = 8000, 0
            out.mux(track.encode(frame))
            out.mux(track.encode(None))
        file.seek(0)
        with av.open(file, "r", format=muxer) as found:
            return found.streams.audio[0].metadata.get("language", UNKNOWN) == language
    except (av.FFmpegError, UnicodeError):
        return False
