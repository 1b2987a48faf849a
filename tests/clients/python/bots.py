"""Two bots of LiveKit's Python SDK in one room: numbered pictures, a tone and words both ways.

Usage: bots.py URL single|dual TOKEN TOKEN

Prints one JSON object: what each bot sent and received.
"""

import asyncio
import json
import sys

import numpy as np
from livekit import rtc

WIDTH, HEIGHT, FPS, SECONDS = 320, 240, 15, 10
FRAMES = FPS * SECONDS
RATE = 48_000
# A frame's number stands in its upper half as 8 black or white bars, which survive the codec.
BITS = 8
# Pictures before the first numbered one, for the keyframe and the encoder to settle.
LEAD_IN = FPS
WITHIN = 40


def picture(number: int) -> rtc.VideoFrame:
    """A picture that shows its number, with something moving below it."""
    image = np.full((HEIGHT, WIDTH, 4), 128, dtype=np.uint8)
    bar = WIDTH // BITS
    for bit in range(BITS):
        image[: HEIGHT // 2, bit * bar : (bit + 1) * bar, :3] = 235 if number >> bit & 1 else 16
    at = number * 7 % (WIDTH - 20)
    image[HEIGHT * 3 // 4 :, at : at + 20, :3] = 235
    image[:, :, 3] = 255
    return rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.RGBA, image.tobytes())


def number_of(frame: rtc.VideoFrame) -> int:
    """Reads the number back, at whatever size the picture arrives."""
    grey = frame.convert(rtc.VideoBufferType.I420)
    rows = np.frombuffer(grey.data, dtype=np.uint8)[: grey.width * grey.height].reshape(grey.height, grey.width)
    row = rows[grey.height // 4]
    bar = grey.width / BITS
    return sum(1 << bit for bit in range(BITS) if row[int((bit + 0.5) * bar)] > 128)


class Bot:
    """One participant with all that it received."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.room = rtc.Room()
        self.numbers: set[int] = set()
        self.energy = 0.0
        self.words: list[dict] = []
        self.seeing = asyncio.Event()
        self.hearing = asyncio.Event()
        self.tasks: list[asyncio.Task] = []
        self.room.on("track_subscribed", self.subscribed)
        self.room.on("data_received", self.told)

    async def enter(self, url: str, token: str, single: bool) -> None:
        options = rtc.RoomOptions(auto_subscribe=True, single_peer_connection=single)
        await self.room.connect(url, token, options)
        self.camera = rtc.VideoSource(WIDTH, HEIGHT)
        self.microphone = rtc.AudioSource(RATE, 1)
        video = rtc.LocalVideoTrack.create_video_track("camera", self.camera)
        audio = rtc.LocalAudioTrack.create_audio_track("microphone", self.microphone)
        me = self.room.local_participant
        encoding = rtc.VideoEncoding(max_framerate=FPS, max_bitrate=600_000)
        await me.publish_track(
            video,
            rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=False, video_encoding=encoding),
        )
        await me.publish_track(audio, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE))

    def subscribed(self, track: rtc.Track, *_: object) -> None:
        watch = self.watch if track.kind == rtc.TrackKind.KIND_VIDEO else self.listen
        self.tasks.append(asyncio.create_task(watch(track)))

    async def watch(self, track: rtc.Track) -> None:
        async for event in rtc.VideoStream(track):
            self.numbers.add(number_of(event.frame))
            self.seeing.set()

    async def listen(self, track: rtc.Track) -> None:
        async for event in rtc.AudioStream(track):
            samples = np.frombuffer(event.frame.data, dtype=np.int16).astype(np.float64) / 32768
            self.energy += float(np.sum(samples**2)) / RATE
            if self.energy > 0.01:
                self.hearing.set()

    def told(self, packet: rtc.DataPacket) -> None:
        sender = packet.participant.identity if packet.participant else None
        reliable = packet.kind == rtc.DataPacketKind.KIND_RELIABLE
        self.words.append({"text": packet.data.decode(), "from": sender, "topic": packet.topic, "reliable": reliable})

    async def hum(self, stop: asyncio.Event) -> None:
        chunk = RATE // 100
        phase = np.arange(chunk) * 2 * np.pi * 400 / RATE
        samples = (np.sin(phase) * 8000).astype(np.int16).tobytes()
        while not stop.is_set():
            await self.microphone.capture_frame(rtc.AudioFrame(samples, RATE, 1, chunk))

    async def film(self, both_see: asyncio.Event) -> None:
        """Shows number 0 until both bots see, then 1 to FRAMES, each for one frame."""
        clock = asyncio.get_running_loop()
        due = clock.time()
        number, lead = 0, LEAD_IN
        while number <= FRAMES:
            self.camera.capture_frame(picture(number))
            if number > 0 or (both_see.is_set() and (lead := lead - 1) <= 0):
                number += 1
            due += 1 / FPS
            await asyncio.sleep(max(0.0, due - clock.time()))


async def talk(one: Bot, other: Bot) -> None:
    """Words from one to the other, until the lossy ones have arrived too."""
    me = one.room.local_participant
    await me.publish_data("reliable words", reliable=True, topic="chat")
    while not any(word["text"] == "lossy words" for word in other.words):
        await me.publish_data("lossy words", reliable=False, topic="pointer")
        await asyncio.sleep(0.2)
    while not any(word["text"] == "reliable words" for word in other.words):
        await asyncio.sleep(0.05)


async def call(url: str, layout: str, tokens: list[str]) -> dict:
    bots = [Bot("a"), Bot("b")]
    a, b = bots
    stop, both_see = asyncio.Event(), asyncio.Event()
    tasks: list[asyncio.Task] = []
    try:
        for bot, token in zip(bots, tokens):
            await bot.enter(url, token, layout == "single")
            tasks.append(asyncio.create_task(bot.hum(stop)))
            tasks.append(asyncio.create_task(bot.film(both_see)))
        films = [tasks[1], tasks[3]]
        await asyncio.gather(a.seeing.wait(), b.seeing.wait(), a.hearing.wait(), b.hearing.wait())
        both_see.set()
        await asyncio.gather(talk(a, b), talk(b, a), *films)
        # The last pictures are still under way.
        while not all(FRAMES in bot.numbers for bot in bots):
            await asyncio.sleep(0.05)
    finally:
        stop.set()
        for task in [*tasks, *a.tasks, *b.tasks]:
            task.cancel()
        for bot in bots:
            await bot.room.disconnect()
    return {
        bot.name: {
            "identity": bot.room.local_participant.identity,
            "sent": FRAMES,
            "received": len(bot.numbers - {0}),
            "energy": bot.energy,
            "words": bot.words,
        }
        for bot in bots
    }


def main() -> None:
    url, layout, *tokens = sys.argv[1:]
    print(json.dumps(asyncio.run(asyncio.wait_for(call(url, layout, tokens), WITHIN))))


if __name__ == "__main__":
    main()
