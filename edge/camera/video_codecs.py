"""Names of video codecs for messages, from the codes in containers."""

from __future__ import annotations

ENCRYPTED = "encrypted video"
#: By FourCC, lower case, or Matroska codec ID.
NAMES = {
    "av01": "AV1",
    "v_av1": "AV1",
    "vvc1": "H.266 (VVC)",
    "vvi1": "H.266 (VVC)",
    "v_mpegi/iso/vvc": "H.266 (VVC)",
    "avc1": "H.264",
    "avc3": "H.264",
    "h264": "H.264",
    "v_mpeg4/iso/avc": "H.264",
    "hvc1": "H.265 (HEVC)",
    "hev1": "H.265 (HEVC)",
    "hevc": "H.265 (HEVC)",
    "v_mpegh/iso/hevc": "H.265 (HEVC)",
    "dvh1": "Dolby Vision",
    "dvhe": "Dolby Vision",
    "apv1": "APV",
    "aprn": "ProRes RAW",
    "aprh": "ProRes RAW",
    "mp4v": "MPEG-4",
    "v_mpeg4/iso/asp": "MPEG-4",
    "mjpg": "Motion JPEG",
    "v_mjpeg": "Motion JPEG",
    "vp80": "VP8",
    "v_vp8": "VP8",
    "vp90": "VP9",
    "vp09": "VP9",
    "v_vp9": "VP9",
    "encv": ENCRYPTED,
    "drmi": ENCRYPTED,
}


#: Every FFmpeg decodes these.
COMMON = frozenset({"H.264", "H.265 (HEVC)", "MPEG-4", "Motion JPEG", "VP8", "VP9"})


def codec_name(code: str) -> str:
    """Return the usual name of a codec; its code if it is not known here, "" if there is none."""
    return NAMES.get(code.lower(), code)
