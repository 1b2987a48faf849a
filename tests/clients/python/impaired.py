"""aiortc publishes by WHIP and receives the same by WHEP, for as long as asked: what comes through until now?

    impaired.py ORIGIN ROOM ENCODER_TOKEN VIEWER_TOKEN ENCODER_PORT VIEWER_PORT

Media of each go to that port of loopback only. For each line of the standard input it prints
{"made": N, "pictures": N, "pause_s": S, "sound_s": S, "energy": E, "got": N, "lost": N}: pictures made and decoded, the longest time without
one since it was asked last, seconds of sound decoded with their energy, and packets of sound that came or did not. It ends with the input.
"""

import asyncio
import json
import re
import sys
import time

import numpy as np
from aiortc import RTCPeerConnection, RTCSessionDescription
from whip import Picture, Tone, call


async def begin(connection, origin, place, token, port):
    """As an ordinary client, but through the port."""
    await connection.setLocalDescription(await connection.createOffer())
    offer = connection.localDescription.sdp
    status, _, text = await asyncio.to_thread(call, "POST", origin + place, token, offer, {"content-type": "application/sdp"})
    assert status == 201, (status, text)
    lines = [re.sub(r"( udp \d+ 127\.0\.0\.1) \d+ typ host", rf"\1 {port} typ host", line) for line in text.splitlines()]
    lines = [line for line in lines if not line.startswith("a=candidate:") or f"127.0.0.1 {port} " in line]
    await connection.setRemoteDescription(RTCSessionDescription(sdp="\r\n".join([*lines, ""]), type="answer"))


async def watch(track, told):
    """Counts pictures."""
    last = None
    while True:
        await track.recv()
        now = time.monotonic()
        told["pictures"] += 1
        told["pause_s"] = max(told["pause_s"], now - last if last else 0)
        last = told["last"] = now


async def listen(track, told):
    """Sums up what is heard."""
    while True:
        frame = await track.recv()
        wave = frame.to_ndarray().astype(np.float64) / 32768
        told["energy"] += float(np.mean(wave**2)) * frame.samples / frame.sample_rate
        told["sound_s"] += frame.samples / frame.sample_rate


async def main(origin, room, encoder_token, viewer_token, encoder_port, viewer_port):
    told = {"pictures": 0, "pause_s": 0.0, "sound_s": 0.0, "energy": 0.0, "last": time.monotonic()}
    encoder, viewer = RTCPeerConnection(), RTCPeerConnection()
    picture = Picture()
    encoder.addTrack(Tone())
    encoder.addTrack(picture)
    for transceiver in encoder.getTransceivers():
        transceiver.direction = "sendonly"
    await begin(encoder, origin, f"/whip/{room}", encoder_token, encoder_port)
    tracks = {}
    viewer.on("track", lambda track: tracks.update({track.kind: track}))
    for kind in ("audio", "video"):
        viewer.addTransceiver(kind, direction="recvonly")
    await begin(viewer, origin, f"/whep/{room}/encoder", viewer_token, viewer_port)
    both = asyncio.gather(watch(tracks["video"], told), listen(tracks["audio"], told))
    while await asyncio.to_thread(sys.stdin.readline):
        pause = max(told["pause_s"], time.monotonic() - told["last"])
        stats = (await viewer.getStats()).values()
        sound = next((one for one in stats if one.type == "inbound-rtp" and one.kind == "audio"), None)
        came = {"made": picture.number, "got": sound.packetsReceived if sound else 0, "lost": sound.packetsLost if sound else 0}
        print(json.dumps({**{name: told[name] for name in ("pictures", "sound_s", "energy")}, **came, "pause_s": pause}), flush=True)
        told["pause_s"] = 0.0
    both.cancel()
    await asyncio.gather(both, encoder.close(), viewer.close(), return_exceptions=True)


asyncio.run(main(*sys.argv[1:]))
