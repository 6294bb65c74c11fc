"""Run network cameras with pictures from ffmpeg: H.264 over RTSP, and HLS."""

import re
import socket
import subprocess
import threading
import time
from queue import Queue
from socketserver import StreamRequestHandler, ThreadingTCPServer

from helpers import FFMPEG, Host

SCENE = ["-re", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=10"]  # a picture with a running clock
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"]


def encode(*to, **kwargs):
    """Start ffmpeg, which encodes ten pictures a second until it is stopped."""
    return subprocess.Popen([FFMPEG, "-loglevel", "error", *SCENE, *H264, *to], **kwargs)


class Hls(Host):
    """Serve a folder in which ffmpeg writes a piece of two seconds every two seconds."""

    def __init__(self, folder):
        super().__init__(folder)
        options = ["-g", "20", "-f", "hls", "-hls_time", "2", "-hls_list_size", "3", "-hls_flags", "delete_segments"]
        self.encoder = encode(*options, folder / "live.m3u8")
        while not (folder / "live1.ts").exists():
            time.sleep(0.1)

    def close(self):
        self.encoder.kill(), self.encoder.wait(), self.stop()


class Handler(StreamRequestHandler):
    """Answer one RTSP client (RFC 2326), and require a password, as cameras do."""

    def handle(self):
        self.word = self.server.next_word()
        while request := self.rfile.readline().decode():
            head = "".join(iter(lambda: self.rfile.readline().decode().strip("\r\n"), ""))
            self.number = re.search(r"CSeq: (\d+)", head)[1]
            method = request.split()[0]
            if self.word == "refuse":
                return self.reply("503 Service Unavailable")
            if "Authorization: Basic" not in head and method == "DESCRIBE":
                self.reply("401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"')
            elif method == "DESCRIBE":
                self.reply("200 OK", "Content-Type: application/sdp", body=self.server.description)
            elif method == "SETUP":
                self.reply("200 OK", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1")
            else:
                self.reply("200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN", "Session: 1")
            if method == "PLAY":
                return self.play()

    def reply(self, status, *headers, body=""):
        headers = [f"CSeq: {self.number}", *headers, f"Content-Length: {len(body)}"]
        self.wfile.write("\r\n".join([f"RTSP/1.0 {status}", *headers, "", body]).encode())

    def play(self):
        self.server.played.append(self.word)
        packets, start = self.server.listen(), time.monotonic()
        while self.word == "run" or time.monotonic() - start < 2:
            packet = packets.get()
            self.wfile.write(b"$\0" + len(packet).to_bytes(2, "big") + packet)
        time.sleep(60 if self.word == "stall" else 0)


class Rtsp(ThreadingTCPServer):
    """Serve RTSP. The next word of `script` says what happens to a connection: run, refuse, stall or drop.

    A connection stalls or drops after two seconds.
    """

    daemon_threads, block_on_close, allow_reuse_address = True, False, True

    def __init__(self, *script):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.played, self.listeners = list(script), [], []
        self.source = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.source.bind(("127.0.0.1", 0))
        to = f"rtp://127.0.0.1:{self.source.getsockname()[1]}?pkt_size=1200"
        self.encoder = encode("-g", "10", "-f", "rtp", to, stdout=subprocess.PIPE, text=True)
        self.description = "".join(iter(self.encoder.stdout.readline, "\n")).replace("SDP:\n", "")
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self.receive, self.serve_forever)]
        for thread in self.threads:
            thread.start()

    def receive(self):
        """Receive packets until an empty one, since a socket can't be closed while a thread waits for it."""
        while packet := self.source.recv(2**16):
            for packets in self.listeners:
                packets.put(packet)

    def listen(self):
        self.listeners.append(Queue())
        return self.listeners[-1]

    def next_word(self):
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def url(self):
        return f"rtsp://user:secret@127.0.0.1:{self.server_address[1]}/stream?token=secret"

    def handle_error(self, request, client_address):
        """Ignore errors after the client has gone."""

    def close(self):
        self.encoder.kill(), self.encoder.wait(), self.encoder.stdout.close()
        self.source.sendto(b"", self.source.getsockname())
        self.shutdown(), self.server_close()
        for thread in self.threads:
            thread.join()
        self.source.close()
