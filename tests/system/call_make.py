"""Makes media files with PyAV: the pattern of the tool in a codec that the tool does not encode, or a tone as WAV.

    call_make.py FILE CODEC FRAMES        CODEC libx264, libx265, libaom-av1; a key frame each second
    call_make.py FILE.wav RATE CHANNELS   two seconds of 440 Hz
"""

import math
import struct
import sys
import wave

import av
import numpy as np

WIDTH, HEIGHT, FPS = 320, 240, 25


def crc8(values):
    crc = 0
    for value in values:
        crc ^= value
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc


def picture(counter):
    luma = np.tile(np.linspace(40, 200, WIDTH).astype(np.uint8), (HEIGHT, 1))
    rows = [counter >> 16 & 0xFF, counter >> 8 & 0xFF, counter & 0xFF]
    for row, value in enumerate(rows + [crc8(rows)]):
        for bit in range(8):
            for half in range(2):
                white = (value >> (7 - bit) & 1) ^ half
                x, y = (2 * bit + half) * (WIDTH // 16), row * (HEIGHT // 16)
                luma[y : y + HEIGHT // 16, x : x + WIDTH // 16] = 235 if white else 16
    chroma = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
    return av.VideoFrame.from_ndarray(np.vstack([luma, chroma]), format="yuv420p")


OPTIONS = {
    "libx264": {"profile": "baseline", "preset": "ultrafast", "tune": "zerolatency"},
    "libx265": {"preset": "ultrafast", "tune": "zerolatency", "x265-params": "log-level=none:keyint=25:bframes=0"},
    "libaom-av1": {"cpu-used": "8", "usage": "realtime", "lag-in-frames": "0"},
}


def make_video(name, codec, frames):
    with av.open(name, "w") as out:
        stream = out.add_stream(codec, rate=FPS, options=OPTIONS[codec])
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = 500000
        stream.gop_size = FPS
        for counter in range(frames):
            frame = picture(counter)
            frame.pts = counter
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def make_wav(name, rate, channels):
    with wave.open(name, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        for i in range(2 * rate):
            value = int(8192 * math.sin(2 * math.pi * 440 * i / rate))
            out.writeframes(struct.pack("<h", value) * channels)


if sys.argv[1].endswith(".wav"):
    make_wav(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
else:
    make_video(sys.argv[1], sys.argv[2], int(sys.argv[3]))
