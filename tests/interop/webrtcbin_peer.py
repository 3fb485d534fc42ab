"""GStreamer's webrtcbin as a peer on JSON lines: the counterpart of `duet peer` for audio, video and data.

    webrtcbin_peer.py offer|answer [--data] [--audio] [--video] [--codec VP8|VP9|H264] [--timeout SECONDS]

A tone and a ball are sent; what arrives is decoded and counted. Of the data test it sends and echoes the messages that
webrtcbin can carry: no empty ones, and no more than 64 KiB.
"""

import argparse
import json
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

PACKETS_REQUIRED = 50
FRAMES_REQUIRED = 15
MESSAGES = 8
SIZE_MAX = 65536

VIDEO = {
    "VP8": ("vp8enc deadline=1 keyframe-max-dist=50 ! rtpvp8pay pt=96", "rtpvp8depay ! vp8dec", 96),
    "VP9": ("vp9enc deadline=1 cpu-used=8 keyframe-max-dist=50 ! rtpvp9pay pt=98", "rtpvp9depay ! vp9dec", 98),
    "H264": (
        "openh264enc gop-size=50 ! h264parse ! rtph264pay pt=102 config-interval=-1 aggregate-mode=zero-latency",
        "rtph264depay ! h264parse ! openh264dec",
        102,
    ),
}
SOURCES = {
    "audio": "audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc ! rtpopuspay pt=111 ! "
    "capsfilter caps=application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,encoding-params=(string)2,payload=111",
    "video": "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 ! {encode} ! "
    "capsfilter caps=application/x-rtp,media=video,encoding-name={codec},clock-rate=90000,payload={payload_type}",
}


def message(i):
    """What the data test sends as its message i."""
    if i < 2:
        return ["hello", "h\u00e9llo w\u00f6rld \u2713 \U0001f600"][i]
    size = min([1, 100, 1200, 16384, 65536, 262144][i - 2], SIZE_MAX)
    return bytes(((k ^ (k >> 8) ^ (k >> 16)) + i) & 0xFF for k in range(size))


class Peer:
    def __init__(self, options):
        self.options = options
        self.loop = GLib.MainLoop()
        self.result = {"type": "result", "endpoint": "gst", "role": options.role, "ok": False, "connected": False}
        self.counts = {"audioPacketsReceived": 0, "videoPacketsReceived": 0, "framesDecoded": 0, "audioSamples": 0}
        self.done_sent = self.done_received = False
        self.echoes = []
        self.channels = []
        self.described = False
        self.early = []
        self.pipeline = Gst.Pipeline.new()
        self.webrtc = Gst.ElementFactory.make("webrtcbin", "webrtc")
        self.webrtc.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
        self.pipeline.add(self.webrtc)
        self.webrtc.connect("on-ice-candidate", self.on_candidate)
        self.webrtc.connect("pad-added", self.on_pad)
        self.webrtc.connect("on-data-channel", lambda _, channel: self.use_channel(channel))
        self.webrtc.connect("notify::connection-state", self.on_state)

    def emit(self, line):
        print(json.dumps(line, separators=(",", ":")), flush=True)

    def end(self, reason=None):
        if reason:
            self.result.setdefault("reason", reason)
        self.loop.quit()

    # ---- media ----

    def add_source(self, kind, line):
        encode, _, payload_type = VIDEO[self.options.codec]
        text = SOURCES[kind].format(encode=encode, codec=self.options.codec, payload_type=payload_type)
        source = Gst.parse_bin_from_description(text, True)
        self.pipeline.add(source)
        source.link(self.webrtc)
        self.webrtc.emit("get-transceiver", line).set_property("do-nack", kind == "video")
        source.sync_state_with_parent()

    def add_sources(self):
        kinds = [kind for kind in ("audio", "video") if getattr(self.options, kind)]
        for line, kind in enumerate(kinds):
            self.add_source(kind, line)

    def count(self, pad, name):
        def add(_, info):
            self.counts[name] += 1 if name != "audioSamples" else info.get_buffer().get_size() // 2
            return Gst.PadProbeReturn.OK

        pad.add_probe(Gst.PadProbeType.BUFFER, add)

    def on_pad(self, _, pad):
        caps = pad.get_current_caps()
        if pad.get_direction() != Gst.PadDirection.SRC or not caps:
            return
        kind = caps.get_structure(0).get_string("media")
        decode = VIDEO[self.options.codec][1] if kind == "video" else "rtpopusdepay ! opusdec"
        chain = Gst.parse_bin_from_description(f"{decode} ! fakesink name=sink sync=false async=false", True)
        self.count(pad, f"{kind}PacketsReceived")
        self.count(chain.get_by_name("sink").get_static_pad("sink"), "framesDecoded" if kind == "video" else "audioSamples")
        self.pipeline.add(chain)
        chain.sync_state_with_parent()
        pad.link(chain.get_static_pad("sink"))

    # ---- data ----

    def use_channel(self, channel):
        self.channels.append(channel)
        channel.connect("on-open", self.on_open)
        channel.connect("on-message-string", lambda c, text: self.on_message(c, text))
        channel.connect("on-message-data", lambda c, data: self.on_message(c, data.get_data() if data else b""))

    def send(self, channel, content):
        if isinstance(content, str):
            channel.emit("send-string", content)
        else:
            channel.emit("send-data", GLib.Bytes.new(content))

    def on_open(self, channel):
        if self.options.role == "offer":
            for i in range(MESSAGES):
                self.send(channel, message(i))

    def on_message(self, channel, content):
        if self.options.role == "answer" and content:
            self.send(channel, content)
        if content:
            self.echoes.append(content)

    def data_passed(self):
        if not self.options.data:
            return True
        if self.options.role == "answer":
            return len(self.echoes) >= MESSAGES
        self.result["dcEchoOk"] = sum(echo == message(i) for i, echo in enumerate(self.echoes[:MESSAGES]))
        return self.result["dcEchoOk"] == MESSAGES

    # ---- signaling ----

    def on_candidate(self, _, line, candidate):
        self.emit({"type": "candidate", "candidate": candidate.removeprefix("a="), "sdpMLineIndex": line})

    def on_state(self, *_):
        state = self.webrtc.get_property("connection-state")
        self.result["connected"] = self.result["connected"] or state == GstWebRTC.WebRTCPeerConnectionState.CONNECTED

    def describe(self, kind):
        def made(promise, *_):
            reply = promise.get_reply()  # owns the description
            description = reply.get_value(kind)
            text = description.sdp.as_text()
            self.webrtc.emit("set-local-description", description, Gst.Promise.new())
            self.emit({"type": kind, "sdp": text})

        self.webrtc.emit(f"create-{kind}", None, Gst.Promise.new_with_change_func(made, None))

    def offer(self):
        if self.options.data:
            self.use_channel(self.webrtc.emit("create-data-channel", "chat", None))
        self.describe("offer")

    def set_remote(self, kind, sdp):
        _, parsed = GstSdp.SDPMessage.new_from_text(sdp)
        sdp_type = GstWebRTC.WebRTCSDPType.OFFER if kind == "offer" else GstWebRTC.WebRTCSDPType.ANSWER
        promise = Gst.Promise.new()
        self.webrtc.emit("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(sdp_type, parsed), promise)
        promise.wait()
        self.described = True
        for early in self.early:
            self.take(early)

    def take(self, line):
        kind = line.get("type")
        if kind in ("offer", "answer"):
            self.set_remote(kind, line["sdp"])
            if kind == "offer":
                self.describe("answer")
        elif kind == "candidate" and line.get("candidate"):
            if not self.described:
                self.early.append(line)
            else:
                self.webrtc.emit("add-ice-candidate", line.get("sdpMLineIndex", 0), line["candidate"])
        elif kind == "done":
            self.done_received = True
        return False

    def read(self):
        for text in sys.stdin:
            GLib.idle_add(self.take, json.loads(text))
        GLib.idle_add(self.gone)

    def gone(self):
        self.result["ok"] = self.done_sent and self.done_received  # the peer may be quicker to go than we are
        self.end("the peer is gone")

    # ---- the end ----

    def passed(self):
        c = self.counts
        audio = not self.options.audio or (c["audioPacketsReceived"] >= PACKETS_REQUIRED and c["audioSamples"] > 0)
        video = not self.options.video or (
            c["videoPacketsReceived"] >= PACKETS_REQUIRED and c["framesDecoded"] >= FRAMES_REQUIRED
        )
        return audio and video and self.data_passed()

    def watch(self):
        if not self.done_sent and self.passed():
            self.done_sent = True
            self.emit({"type": "done"})
        if self.done_sent and self.done_received:
            self.result["ok"] = True
            GLib.timeout_add(300, self.end)
            return False
        return True

    def run(self):
        self.add_sources()
        self.pipeline.set_state(Gst.State.PLAYING)
        threading.Thread(target=self.read, daemon=True).start()
        GLib.timeout_add(100, self.watch)
        GLib.timeout_add(int(self.options.timeout * 1000), self.end, "timeout")
        if self.options.role == "offer":
            GLib.timeout_add(200, lambda: self.offer())  # the caps of the sources are there
        self.loop.run()
        if self.result["ok"]:
            self.result.pop("reason", None)
        self.result.update(self.counts)
        self.emit(self.result)
        sys.stdout.flush()
        return 0 if self.result["ok"] else 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["offer", "answer"])
    for flag in ("--data", "--audio", "--video"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--codec", choices=list(VIDEO), default="VP8")
    parser.add_argument("--timeout", type=float, default=30)
    Gst.init(None)
    return Peer(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
