"""aiortc as a peer on JSON lines: the counterpart of `duet peer` for audio and video.

    aiortc_peer.py offer|answer [--audio] [--video] [--codec NAME] [--timeout SECONDS]

It does not trickle: its descriptions carry all candidates. A tone and a picture that changes are sent; what arrives is
decoded and counted.
"""

import argparse
import asyncio
import fractions
import json
import math
import sys
import time

import av
import numpy
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.sdp import candidate_from_sdp

PACKETS_REQUIRED = 50
FRAMES_REQUIRED = 15


class Tone(MediaStreamTrack):
    kind = "audio"

    def __init__(self):
        super().__init__()
        self.samples = 0
        self.started = None

    async def recv(self):
        self.started = self.started or time.time()
        await asyncio.sleep(max(0, self.started + self.samples / 48000 - time.time()))
        phase = 2 * math.pi * 440 * (numpy.arange(960) + self.samples) / 48000
        data = (8000 * numpy.sin(phase)).astype(numpy.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(data, format="s16", layout="mono")
        frame.sample_rate = 48000
        frame.pts = self.samples
        frame.time_base = fractions.Fraction(1, 48000)
        self.samples += 960
        return frame


class Picture(MediaStreamTrack):
    kind = "video"

    def __init__(self):
        super().__init__()
        self.count = 0
        self.started = None

    async def recv(self):
        self.started = self.started or time.time()
        await asyncio.sleep(max(0, self.started + self.count / 25 - time.time()))
        data = numpy.zeros((240, 320, 3), dtype=numpy.uint8)
        data[:, :, 1] = 128
        x = self.count * 4 % 300
        data[100:140, x : x + 20, :] = 255
        frame = av.VideoFrame.from_ndarray(data, format="rgb24")
        frame.pts = self.count * 3600
        frame.time_base = fractions.Fraction(1, 90000)
        self.count += 1
        return frame


class Peer:
    def __init__(self, options):
        self.options = options
        self.pc = RTCPeerConnection()
        self.result = {"type": "result", "endpoint": "aiortc", "role": options.role, "ok": False, "connected": False}
        self.decoded = {"audio": 0, "video": 0}
        self.energy = 0.0
        self.done_sent = self.done_received = False
        self.finished = asyncio.Event()
        self.tasks = []

    def emit(self, line):
        print(json.dumps(line, separators=(",", ":")), flush=True)

    async def consume(self, track):
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            self.decoded[track.kind] += 1
            if track.kind == "audio":
                samples = frame.to_ndarray().astype(numpy.float64) / 32768
                self.energy += float((samples * samples).sum())

    async def count_packets(self):
        counts = {"audio": [0, 0], "video": [0, 0]}
        for stats in (await self.pc.getStats()).values():
            if stats.type == "inbound-rtp":
                counts[stats.kind][0] += stats.packetsReceived
            elif stats.type == "outbound-rtp":
                counts[stats.kind][1] += stats.packetsSent
        for kind, (received, sent) in counts.items():
            self.result[f"{kind}PacketsReceived"] = received
            self.result[f"{kind}PacketsSent"] = sent
        self.result["framesDecoded"] = self.decoded["video"]
        self.result["audioEnergy"] = self.energy

    def passed(self):
        audio = not self.options.audio or (
            self.result["audioPacketsReceived"] >= PACKETS_REQUIRED and self.energy > 0
        )
        video = not self.options.video or (
            self.result["videoPacketsReceived"] >= PACKETS_REQUIRED and self.decoded["video"] >= FRAMES_REQUIRED
        )
        return audio and video

    def prefer(self, transceiver):
        capabilities = RTCRtpSender.getCapabilities("video").codecs
        first = [c for c in capabilities if c.mimeType.lower() == f"video/{self.options.codec}".lower()]
        rtx = [c for c in capabilities if c.mimeType.lower() == "video/rtx"]
        transceiver.setCodecPreferences(first + rtx)

    def add_tracks(self):
        if self.options.audio:
            self.pc.addTrack(Tone())
        if self.options.video:
            sender = self.pc.addTrack(Picture())
            if self.options.codec:
                for transceiver in self.pc.getTransceivers():
                    if transceiver.sender == sender:
                        self.prefer(transceiver)

    async def describe(self):
        local = self.pc.localDescription
        self.emit({"type": local.type, "sdp": local.sdp})

    async def take(self, line):
        kind = line.get("type")
        if kind == "offer":
            await self.pc.setRemoteDescription(RTCSessionDescription(line["sdp"], "offer"))
            self.add_tracks()
            await self.pc.setLocalDescription(await self.pc.createAnswer())
            await self.describe()
        elif kind == "answer":
            await self.pc.setRemoteDescription(RTCSessionDescription(line["sdp"], "answer"))
        elif kind == "candidate" and line.get("candidate"):
            candidate = candidate_from_sdp(line["candidate"].split(":", 1)[1])
            candidate.sdpMid = line.get("sdpMid")
            candidate.sdpMLineIndex = line.get("sdpMLineIndex")
            await self.pc.addIceCandidate(candidate)
        elif kind == "done":
            self.done_received = True

    async def read(self):
        reader = asyncio.StreamReader(limit=1 << 20)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while text := await reader.readline():
            try:
                await self.take(json.loads(text))
            except Exception as error:  # the peer's line is to blame or aiortc is: the result says it
                self.result["reason"] = repr(error)
                self.finished.set()
        self.result["ok"] = self.done_sent and self.done_received  # the peer may be quicker to go than we are
        self.finished.set()

    async def watch(self):
        while not (self.done_sent and self.done_received):
            await asyncio.sleep(0.1)
            await self.count_packets()
            if not self.done_sent and self.passed():
                self.done_sent = True
                self.emit({"type": "done"})
        await asyncio.sleep(0.3)
        self.result["ok"] = True
        self.finished.set()

    async def run(self):
        @self.pc.on("track")
        def on_track(track):
            self.tasks.append(asyncio.ensure_future(self.consume(track)))

        @self.pc.on("connectionstatechange")
        def on_state():
            self.result["connected"] = self.result["connected"] or self.pc.connectionState == "connected"

        self.tasks += [asyncio.ensure_future(self.read()), asyncio.ensure_future(self.watch())]
        if self.options.role == "offer":
            self.add_tracks()
            await self.pc.setLocalDescription(await self.pc.createOffer())
            await self.describe()
        try:
            await asyncio.wait_for(self.finished.wait(), self.options.timeout)
        except asyncio.TimeoutError:
            self.result["reason"] = "timeout"
        await self.count_packets()
        for task in self.tasks:
            task.cancel()
        await self.pc.close()
        self.emit(self.result)
        return 0 if self.result["ok"] else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["offer", "answer"])
    parser.add_argument("--audio", action="store_true")
    parser.add_argument("--video", action="store_true")
    parser.add_argument("--codec")
    parser.add_argument("--timeout", type=float, default=30)
    return asyncio.run(Peer(parser.parse_args()).run())


if __name__ == "__main__":
    sys.exit(main())
