# The data channel echo server that tutorials of aiortc show. Only the lines marked "shutdown" were added: they let it end.
import asyncio
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.signaling import BYE, TcpSocketSignaling  # BYE: shutdown

async def run_server():
    signaling = TcpSocketSignaling("127.0.0.1", 1234)
    pc = RTCPeerConnection()

    @pc.on("datachannel")
    def on_datachannel(channel):
        @channel.on("message")
        def on_message(message):
            print(f"Received: {message}")
            channel.send(message)  # Echo back

    await signaling.connect()
    while True:
        obj = await signaling.receive()
        if isinstance(obj, RTCSessionDescription):
            await pc.setRemoteDescription(obj)
            answer = await pc.createAnswer()
            await pc.setLocalDescription(answer)
            await signaling.send(pc.localDescription)
        if obj is BYE or obj is None:  # shutdown
            break  # shutdown
    await pc.close()  # shutdown

asyncio.run(run_server())
