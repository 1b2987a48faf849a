"""aiortc publishes by WHIP and offers some SRTP profiles only: does it connect?

    srtp.py ORIGIN ROOM TOKEN gcm|cm    ORIGIN: such as http://127.0.0.1:8080

Prints {"state": "connected" or "failed"}.
"""

import asyncio
import json
import sys
import urllib.request

from aiortc import AudioStreamTrack, RTCPeerConnection, RTCSessionDescription, rtcdtlstransport

PATIENCE = 20


def post(url, token, body):
    headers = {"authorization": f"Bearer {token}", "content-type": "application/sdp"}
    request = urllib.request.Request(url, data=body.encode(), method="POST", headers=headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return answer.read().decode()


async def main(origin, room, token, kind):
    every = rtcdtlstransport.SRTP_PROFILES
    wanted = [profile for profile in every if (b"GCM" in profile.openssl_profile) == (kind == "gcm")]
    assert wanted and len(wanted) < len(every), every
    rtcdtlstransport.SRTP_PROFILES[:] = wanted
    connection = RTCPeerConnection()
    connection.addTrack(AudioStreamTrack())
    connection.getTransceivers()[0].direction = "sendonly"
    over = asyncio.Event()

    @connection.on("connectionstatechange")
    def changed():
        if connection.connectionState in ("connected", "failed", "closed"):
            over.set()

    await connection.setLocalDescription(await connection.createOffer())
    text = await asyncio.to_thread(post, f"{origin}/whip/{room}", token, connection.localDescription.sdp)
    await connection.setRemoteDescription(RTCSessionDescription(sdp=text, type="answer"))
    await asyncio.wait_for(over.wait(), PATIENCE)
    print(json.dumps({"state": connection.connectionState}))
    await connection.close()


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 2 * PATIENCE))
