"""What is in a media file, as JSON: frames, durations, the counters of the pattern. PyAV decodes.

    call_check.py FILE
"""

import json
import sys

import av
import numpy as np


def counter_of(luma):
    """The number in the pattern's four rows of 16 blocks, or None when a row or the checksum is damaged."""
    height, width = luma.shape
    rows = []
    for row in range(4):
        value = 0
        for bit in range(8):
            levels = []
            for half in range(2):
                x, y = (2 * bit + half) * (width // 16), row * (height // 16)
                block = luma[y : y + height // 16, x : x + width // 16]
                levels.append(float(block[height // 64 : -(height // 64), width // 64 : -(width // 64)].mean()))
            if abs(levels[0] - levels[1]) < 60:
                return None
            value = value << 1 | (levels[0] > levels[1])
        rows.append(value)
    crc = 0
    for value in rows[:3]:
        crc ^= value
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return (rows[0] << 16 | rows[1] << 8 | rows[2]) if crc == rows[3] else None


def loudest(samples, rate):
    """The frequency that carries most, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


def onsets(samples, rate, first):
    """When sound begins after a silence, in seconds."""
    step = rate // 1000
    loud = np.abs(samples[: len(samples) // step * step].reshape(-1, step)).max(axis=1) > 0.05
    return [first + i / 1000 for i in range(200, len(loud)) if loud[i] and not loud[i - 200 : i].any()]


def video(container):
    times, counters, size = [], [], None
    for frame in container.decode(video=0):
        times.append(len(times) / 25 if frame.time is None else float(frame.time))  # byte streams have none
        size = [frame.width, frame.height]
        counters.append(counter_of(frame.to_ndarray(format="gray")))
    return {"frames": len(times), "first": times[0], "last": times[-1], "size": size, "times": times,
            "counters": counters,
            "timesGrow": all(a < b for a, b in zip(times, times[1:]))}


def audio(container):
    pieces, first, length = [], None, 0
    for frame in container.decode(audio=0):
        first = float(frame.time) if first is None else first
        samples, rate = frame.to_ndarray(), frame.sample_rate
        if samples.dtype == np.int16:
            samples = samples / 32768.0
        channels = len(frame.layout.channels)
        is_planar = samples.shape[0] == channels and channels > 1
        missing = round((float(frame.time) - first) * rate) - length
        if missing > rate // 100:
            pieces.append(np.zeros(missing))  # what was lost is silence
        pieces.append(samples[0] if is_planar else samples.reshape(-1)[::channels])
        length = sum(map(len, pieces))
    joined = np.concatenate(pieces)
    middle = joined[len(joined) // 4 : len(joined) * 3 // 4]
    return {"seconds": len(joined) / rate, "first": first, "rate": rate, "onsets": onsets(joined, rate, first),
            "loudest": loudest(middle, rate), "level": float(np.sqrt(np.mean(middle**2)))}


def main():
    name, result = sys.argv[1], {}
    with av.open(name) as container:
        result["format"] = container.format.name
        result["duration"] = container.duration / av.time_base if container.duration else None
        result["codecs"] = {s.type: s.codec_context.name for s in container.streams}
    for kind, read in (("video", video), ("audio", audio)):
        if kind in result["codecs"]:
            with av.open(name) as container:
                result[kind] = read(container)
    print(json.dumps(result))


main()
