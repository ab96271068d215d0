"""A WebRTC client that is not a browser: it plays by WHEP, publishes by WHIP, publishes simultaneous flashes and beeps, starts a session
whose handshake never ends, or serves WHEP."""

import asyncio
import http.server
import base64
import fractions
import hashlib
import hmac
import json
import math
import os
import socket
import struct
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib

import aioice.ice
import av
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack, VideoStreamTrack
from aiortc.rtcdtlstransport import RTCDtlsTransport
from aiortc.rtcrtpreceiver import TimestampMapper
from aiortc.rtp import RtcpSrPacket, is_rtcp

# The tests' server is at 127.0.0.1, or reachable from HOST. aioice would ignore loopback, and the machine may have no network.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [os.environ.get("HOST", "127.0.0.1")]


def say(**facts):
    print(json.dumps(facts), flush=True)


def post(url, sdp, key=None):
    headers = {"Content-Type": "application/sdp"} | ({"Authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(urllib.request.Request(url, sdp.encode(), headers), timeout=20) as answer:
        return answer.read().decode(), urllib.parse.urljoin(url, answer.headers["Location"])


def end(url):
    with urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=20) as answer:
        return answer.status


async def begin(peer, url, key=None):
    await peer.setLocalDescription(await peer.createOffer())
    answer, place = await asyncio.to_thread(post, url, peer.localDescription.sdp, key)
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    return place


async def play(url, seconds):
    """Counts frames, and reports a new size. In the middle, it reports the loss of a frame to the server."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    counts = {"video": 0, "audio": 0, "keys": 0, "keys_after": 0, "size": None}
    video = peer.addTransceiver("video", direction="recvonly")
    peer.addTransceiver("audio", direction="recvonly")
    asked = []

    async def count(track):
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            counts[track.kind] += 1
            if track.kind == "video":
                size = [frame.width, frame.height]
                if counts["size"] not in (None, size):
                    say(size=size)
                counts["size"] = size
                counts["keys_after" if asked else "keys"] += int(frame.key_frame)
            if counts["video"] == 1 and track.kind == "video":
                say(playing=True)

    peer.on("track", lambda track: asyncio.ensure_future(count(track)))
    place = await begin(peer, url)
    await asyncio.sleep(float(seconds) / 2)
    asked.append(True)
    for ssrc in {stream.ssrc for stream in (await video.receiver.getStats()).values() if stream.type == "inbound-rtp"}:
        await video.receiver._send_rtcp_pli(ssrc)
    await asyncio.sleep(float(seconds) / 2)
    status = await asyncio.to_thread(end, place)
    await peer.close()
    say(ended=status, **counts)


class Clap(MediaStreamTrack):
    """A white frame or a tone, for 100 ms now and then: only a shift by four seconds makes the pattern match itself."""

    began = None

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.count = 0

    @staticmethod
    def is_on(seconds):
        return any(begin <= seconds % 4 < begin + 0.099 for begin in (0, 0.8, 2, 2.7))

    async def recv(self):
        Clap.began = Clap.began or time.monotonic()
        rate, length = (30, 1) if self.kind == "video" else (48000, 960)
        at = self.count
        self.count += length
        await asyncio.sleep(max(0, Clap.began + at / rate - time.monotonic()))
        if self.kind == "video":
            frame = av.VideoFrame(320, 180, "gray")
            frame.planes[0].update((b"\xff" if self.is_on(at / rate) else b"\0") * frame.planes[0].buffer_size)
            frame = frame.reformat(format="yuv420p")
        else:
            frame = av.AudioFrame(format="s16", layout="mono", samples=length)
            tone = [int(16000 * math.sin(2 * math.pi * 1000 * (at + n) / rate)) * self.is_on((at + n) / rate) for n in range(length)]
            frame.planes[0].update(struct.pack(f"<{length}h", *tone))
            frame.sample_rate = rate
        frame.pts, frame.time_base = at, fractions.Fraction(1, rate)
        return frame


def delay_sound(seconds):
    """Delays each audio packet. Sender reports get the time at which media was made, not the time at which a busy encoder sent it."""
    send = RTCDtlsTransport._send_rtp
    origins = {}

    async def later(self, data):
        is_sound = data[1] & 0x7F == 96
        if is_rtcp(data):
            if data[1] == 200 and data[4:8] in origins:
                origin, rate = origins[data[4:8]]
                since = ((struct.unpack(">I", data[16:20])[0] - origin) % 2**32) / rate
                data = data[:8] + struct.pack(">Q", int((2_208_988_800 + Clap.began + since) * 2**32)) + data[16:]
        else:
            origins.setdefault(data[8:12], (struct.unpack(">I", data[4:8])[0], 48000 if is_sound else 90000))
        if not is_rtcp(data) and is_sound:
            asyncio.get_running_loop().call_later(seconds, lambda: asyncio.ensure_future(send(self, data)))
        else:
            await send(self, data)

    RTCDtlsTransport._send_rtp = later


async def clap(url, seconds, late):
    """Publishes flashes and beeps that begin at the same time; the audio packets are sent `late` seconds later."""
    delay_sound(float(late))
    await publish(url, seconds, None, [Clap("audio"), Clap("video")])


async def clock(url, seconds):
    """Plays, and reports how many milliseconds after each flash its beep was, by the clock of the sender."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    reports, found = {}, {"video": [], "audio": []}
    handle = RTCRtpReceiver._handle_rtcp_packet

    async def hear(self, packet):
        if isinstance(packet, RtcpSrPacket):
            reports[self.track.kind] = (packet.sender_info.ntp_timestamp / 2**32, packet.sender_info.rtp_timestamp)
        await handle(self, packet)

    RTCRtpReceiver._handle_rtcp_packet = hear
    # RTP times as they are.
    TimestampMapper.map = lambda self, timestamp: timestamp

    async def look(track):
        quiet = 0
        rate, pause, limit = (90000, 3, 100) if track.kind == "video" else (48000, 12000, 3000)
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if track.kind == "video":
                samples = [bytes(frame.planes[0])[frame.planes[0].buffer_size // 2] - 16]
            else:
                samples = struct.unpack(f"<{frame.samples * 2}h", bytes(frame.planes[0])[: frame.samples * 4])[::2]
            for index, sample in enumerate(samples):
                is_on = abs(sample) > limit
                if is_on and quiet > pause and track.kind in reports:
                    wall, rtp = reports[track.kind]
                    since = (frame.pts + index - rtp + 2**31) % 2**32 - 2**31
                    found[track.kind].append(wall + since / rate)
                quiet = 0 if is_on else quiet + 1

    peer.on("track", lambda track: asyncio.ensure_future(look(track)))
    for kind in found:
        peer.addTransceiver(kind, direction="recvonly")
    place = await begin(peer, url)
    await asyncio.sleep(float(seconds))
    await asyncio.to_thread(end, place)
    await peer.close()
    nearest = lambda flash: min((beep - flash for beep in found["audio"]), key=abs, default=99)
    say(flashes=len(found["video"]), beeps=len(found["audio"]), apart=[round(nearest(flash) * 1000, 1) for flash in found["video"]])


async def publish(url, seconds, key, tracks=None):
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for track in tracks or [AudioStreamTrack(), VideoStreamTrack()]:
        peer.addTrack(track)
    codecs = RTCRtpReceiver.getCapabilities("video").codecs
    for transceiver in peer.getTransceivers():
        if transceiver.kind == "video":
            transceiver.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/H264"])
    place = await begin(peer, url, key)
    say(publishing=True)
    await asyncio.sleep(float(seconds))
    say(ended=await asyncio.to_thread(end, place))
    await peer.close()


async def handshake(url, seconds):
    """Authenticates with the ICE password, sends the beginning of a handshake, and then sends connectivity checks for `seconds`."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    offer = peer.localDescription.sdp
    answer, place = await asyncio.to_thread(post, url, offer)
    line = lambda sdp, name: next(l.split(":", 1)[1] for l in sdp.splitlines() if l.startswith(f"a={name}:"))
    candidate = line(answer, "candidate").split()
    far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    far.settimeout(2)
    username = f"{line(answer, 'ice-ufrag')}:{line(offer, 'ice-ufrag')}".encode()
    attribute = lambda kind, data: struct.pack(">HH", kind, len(data)) + data + b"\0" * (-len(data) % 4)

    def check():
        body = attribute(0x6, username) + attribute(0x24, b"\0\0\1\0") + attribute(0x802A, b"12345678") + attribute(0x25, b"")
        head = lambda more: struct.pack(">HHI", 1, len(body) + more, 0x2112A442) + b"transaction1"
        code = hmac.new(line(answer, "ice-pwd").encode(), head(24) + body, hashlib.sha1).digest()
        body += attribute(0x8, code)
        crc = zlib.crc32(head(8) + body) ^ 0x5354554E
        far.sendto(head(8) + body + attribute(0x8028, struct.pack(">I", crc)), (candidate[4], int(candidate[5])))

    check()
    reply = far.recv(2000)
    # A ClientHello record whose rest never arrives.
    far.sendto(b"\x16\xfe\xfd\0\0\0\0\0\0\0\0\0\x20\x01\0\x01\0\0\0\0\0\0\0\0\x14" + b"\0" * 20, (candidate[4], int(candidate[5])))
    say(answered=reply[:2].hex())
    began = time.monotonic()
    while time.monotonic() - began < float(seconds):
        check()
        await asyncio.sleep(1)
    try:
        say(status=await asyncio.to_thread(end, place))
    except urllib.error.HTTPError as error:
        say(status=error.code)
    await peer.close()


async def serve(port):
    """Serves WHEP: each session gets video and a tone."""
    loop = asyncio.get_running_loop()
    peers = []

    async def answer(offer):
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peers.append(peer)
        await peer.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        peer.addTrack(VideoStreamTrack())
        peer.addTrack(AudioStreamTrack())
        await peer.setLocalDescription(await peer.createAnswer())
        return peer.localDescription.sdp.encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            offer = self.rfile.read(int(self.headers["Content-Length"])).decode()
            say(path=self.path, token=self.headers["Authorization"], type=self.headers["Content-Type"])
            body = asyncio.run_coroutine_threadsafe(answer(offer), loop).result()
            self.send_response(201)
            for name, value in [("Content-Type", "application/sdp"), ("Location", f"/session/{len(peers)}"), ("Content-Length", len(body))]:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def do_DELETE(self):
            say(deleted=self.path, token=self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say(serving=True)
    await asyncio.Event().wait()


MODES = {"play": play, "publish": publish, "clap": clap, "clock": clock, "handshake": handshake, "serve": serve}
asyncio.run(MODES[sys.argv[1]](*sys.argv[2:]))
