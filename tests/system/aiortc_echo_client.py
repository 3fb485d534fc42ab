# The data channel echo client that tutorials of aiortc show. Only the lines marked "shutdown" differ: it waits for the echo
# and ends in order, instead of stopping the event loop under itself.
import asyncio
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.signaling import TcpSocketSignaling

async def run_client():
    signaling = TcpSocketSignaling("127.0.0.1", 1234)
    pc = RTCPeerConnection()
    channel = pc.createDataChannel("chat")
    echoed = asyncio.Event()  # shutdown

    @channel.on("open")
    def on_open():
        print("Channel open, sending message...")
        channel.send("Hello, WebRTC!")

    @channel.on("message")
    def on_message(message):
        print(f"Echoed: {message}")
        echoed.set()  # shutdown: was asyncio.get_event_loop().stop()

    await signaling.connect()
    offer = await pc.createOffer()
    await pc.setLocalDescription(offer)
    await signaling.send(pc.localDescription)
    while True:
        obj = await signaling.receive()
        if isinstance(obj, RTCSessionDescription):
            await pc.setRemoteDescription(obj)
            break
    await echoed.wait()  # shutdown
    await pc.close()  # shutdown
    await signaling.close()  # shutdown

asyncio.run(run_client())
