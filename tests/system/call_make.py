"""Makes media files with PyAV: the pattern of the tool in a codec that the tool does not encode, or a tone as WAV.

    call_make.py FILE CODEC FRAMES        CODEC libx264, libx265, libaom-av1; a key frame each second
    call_make.py FILE.wav RATE CHANNELS   two seconds of 440 Hz
    call_make.py FILE.webm sync FRAMES    VP8 and Opus: a beep of 100 ms with every 25th picture
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


def beeps(frames):
    """Sound for so many pictures, in pieces of 20 ms."""
    rate = 48000
    t = np.arange(frames * rate // FPS)
    sound = np.where(t % rate < rate // 10, 8192 * np.sin(2 * math.pi * 1000 * t / rate), 0).astype(np.int16)
    for start in range(0, len(sound), 960):
        frame = av.AudioFrame.from_ndarray(sound[start : start + 960].reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = rate, start
        yield frame


def make_sync(name, frames):
    with av.open(name, "w") as out:
        video, audio = out.add_stream("libvpx", rate=FPS), out.add_stream("libopus", rate=48000)
        video.width, video.height, video.pix_fmt, video.gop_size = WIDTH, HEIGHT, "yuv420p", FPS
        video.bit_rate, video.options = 500000, {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
        audio.layout = "mono"
        for counter in range(frames):
            frame = picture(counter)
            frame.pts = counter
            out.mux(video.encode(frame))
        for frame in beeps(frames):
            out.mux(audio.encode(frame))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))


if sys.argv[2] == "sync":
    make_sync(sys.argv[1], int(sys.argv[3]))
elif sys.argv[1].endswith(".wav"):
    make_wav(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
else:
    make_video(sys.argv[1], sys.argv[2], int(sys.argv[3]))
