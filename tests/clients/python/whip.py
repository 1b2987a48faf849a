"""aiortc publishes by WHIP and receives the same by WHEP: what comes through?

    whip.py ORIGIN ROOM ENCODER_TOKEN VIEWER_TOKEN    ORIGIN: such as http://127.0.0.1:8080; the encoder is "encoder"

Prints {"pictures": N, "size": [width, height], "energy": E, "sound_s": S, "trickled": status, "ended": [statuses], "links": N}.
"""

import asyncio
import fractions
import json
import sys
import urllib.error
import urllib.request

import av
import numpy as np
from aiortc import AudioStreamTrack, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack

WIDTH, HEIGHT = 320, 240
PICTURES = 60
PATIENCE = 40


class Picture(VideoStreamTrack):
    """A bar that wanders over grey."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        image = np.full((HEIGHT, WIDTH, 3), 128, dtype=np.uint8)
        at = self.number * 7 % (WIDTH - 20)
        image[:, at : at + 20] = 235
        self.number += 1
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(AudioStreamTrack):
    """440 Hz."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0

    async def recv(self) -> av.AudioFrame:
        # The clock of the silence that the base class makes.
        silence = await super().recv()
        count = silence.samples
        wave = 8000 * np.sin(2 * np.pi * 440 * (self.at + np.arange(count)) / silence.sample_rate)
        self.at += count
        frame = av.AudioFrame.from_ndarray(wave.astype(np.int16).reshape(1, -1), format="s16", layout="mono")
        frame.pts, frame.sample_rate, frame.time_base = silence.pts, silence.sample_rate, fractions.Fraction(1, silence.sample_rate)
        return frame


def call(method, url, token, body=None, headers=None):
    """One HTTP request: status, headers, text."""
    wanted = {"authorization": f"Bearer {token}", **(headers or {})}
    request = urllib.request.Request(url, data=body and body.encode(), method=method, headers=wanted)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


async def begin(connection, origin, place, token):
    """Offers, posts, takes the answer. Returns the session's address with the answer's headers."""
    await connection.setLocalDescription(await connection.createOffer())
    body = connection.localDescription.sdp
    status, headers, text = await asyncio.to_thread(call, "POST", origin + place, token, body, {"content-type": "application/sdp"})
    assert status == 201, (status, text)
    await connection.setRemoteDescription(RTCSessionDescription(sdp=text, type="answer"))
    return origin + headers["location"], headers


async def trickle(connection, url, token, etag):
    """Says a candidate again, as clients do that do not wait for them."""
    lines = [line for line in connection.localDescription.sdp.splitlines() if line.startswith(("a=ice-ufrag:", "a=ice-pwd:"))][:2]
    lines += ["m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0"]
    lines += [line for line in connection.localDescription.sdp.splitlines() if line.startswith("a=candidate:")][:1]
    headers = {"content-type": "application/trickle-ice-sdpfrag", "if-match": etag}
    status, _, _ = await asyncio.to_thread(call, "PATCH", url, token, "\r\n".join([*lines, ""]), headers)
    return status


async def watch(track, told):
    """Counts pictures until there are enough."""
    while told["pictures"] < PICTURES:
        frame = await track.recv()
        told["pictures"] += 1
        told["size"] = [frame.width, frame.height]


async def listen(track, told):
    """Sums up what is heard until it is two seconds long."""
    while told["sound_s"] < 2:
        frame = await track.recv()
        wave = frame.to_ndarray().astype(np.float64) / 32768
        told["energy"] += float(np.mean(wave**2)) * frame.samples / frame.sample_rate
        told["sound_s"] += frame.samples / frame.sample_rate


async def main(origin, room, encoder_token, viewer_token):
    told = {"pictures": 0, "size": None, "energy": 0.0, "sound_s": 0.0}
    encoder, viewer = RTCPeerConnection(), RTCPeerConnection()
    encoder.addTrack(Tone())
    encoder.addTrack(Picture())
    for transceiver in encoder.getTransceivers():
        transceiver.direction = "sendonly"
    sent, headers = await begin(encoder, origin, f"/whip/{room}", encoder_token)
    told["links"] = len(headers.get_all("link") or [])
    told["trickled"] = await trickle(encoder, sent, encoder_token, headers["etag"])
    tracks = {}
    viewer.on("track", lambda track: tracks.update({track.kind: track}))
    for kind in ("audio", "video"):
        viewer.addTransceiver(kind, direction="recvonly")
    played, _ = await begin(viewer, origin, f"/whep/{room}/encoder", viewer_token)
    await asyncio.gather(watch(tracks["video"], told), listen(tracks["audio"], told))
    told["ended"] = [call("DELETE", url, token)[0] for url, token in ((played, viewer_token), (sent, encoder_token))]
    await asyncio.gather(encoder.close(), viewer.close())
    print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), PATIENCE))
