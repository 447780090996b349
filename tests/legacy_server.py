"""A real server on this machine that plays the Legacy Surveys' cut-out service."""

import io
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from astropy.io import fits
from PIL import Image

PACKED = "Content-Encoding"
TEXTS = {
    "page": b"<!DOCTYPE html><title>Log in</title>",
    "text": b"No such layer\n",
}


class LegacyServer(ThreadingHTTPServer):
    """Answers as told: the n-th request by the n-th word, the last word for the rest.

    ``image``, ``blank``, ``edge``, ``no z``, ``no overlap``, ``other bands``,
    ``other size``, ``cut``, ``cut unsized``, ``short``, ``garbage``, ``page``,
    ``text``, ``huge``, ``slow``, ``hang``, or a status; ``429:1`` is one with a
    ``Retry-After`` of 1 s, ``to:PLACE`` sends the
    client there, and ``packed:gzip`` is an answer in this encoding.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *answers, delay=0.0, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.answers = answers or ("image",)
        self.delay = delay  # seconds, or a function of the query that gives them
        self.lock = threading.Lock()
        self.queries, self.headers, self.times = [], [], []
        self.at_work = self.most_at_work = 0
        self.closing = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/viewer/cutout.fits"

    def handle_error(self, request, client_address):
        """A client that goes away in the middle is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def stop(self):
        self.closing.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        address = urlsplit(self.path)
        query = dict(parse_qsl(address.query))
        with server.lock:
            number = len(server.queries)
            server.queries.append(query)
            server.headers.append(dict(self.headers))
            server.times.append(time.monotonic())
            server.at_work += 1
            server.most_at_work = max(server.most_at_work, server.at_work)
        try:
            wait = server.delay(query) if callable(server.delay) else server.delay
            server.closing.wait(wait)
            word = server.answers[min(number, len(server.answers) - 1)]
            self.answer(word, query, jpeg=address.path.endswith(".jpg"))
        except ConnectionError:
            self.close_connection = True  # the client went away
        finally:
            with server.lock:
                server.at_work -= 1

    def answer(self, word, query, *, jpeg):
        status, _, rest = word.partition(":")
        if status.isdigit():
            self.send(b"Server Error", "text/plain", int(status), rest)
            return
        if status in ("to", "packed"):
            code, header = {"to": (302, "Location"), "packed": (200, PACKED)}[status]
            self.send(bytes(9), "image/fits", code, rest, header)
            return
        if word in TEXTS:
            self.send(TEXTS[word], "text/html")
            return
        if word == "garbage":
            self.send(np.random.default_rng(0).bytes(4000), "image/fits")
            return
        if word == "hang":
            self.server.closing.wait()
            return
        body = (jpeg_of if jpeg else fits_of)(word, query)
        if word == "huge":
            body += bytes(2**24)
        kind = "image/jpeg" if jpeg else "image/fits"
        if word == "short":  # the length agrees with what comes, the file does not
            self.send(body[: len(body) // 2], kind)
        elif word.startswith("cut"):
            self.cut(body, kind, sized=word == "cut")
        elif word == "slow":
            self.drip(body, kind)
        else:
            self.send(body, kind)

    def send(self, body, kind, status=200, rest="", header="Retry-After"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if rest:
            self.send_header(header, rest)
        self.end_headers()
        self.wfile.write(body)

    def cut(self, body, kind, *, sized):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if sized:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def drip(self, body, kind):
        """A byte now and then: the connection lives, the image never comes."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for byte in body:
            if self.server.closing.wait(0.05):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()

    def log_message(self, *args):
        pass


def galaxy(query, num_planes):
    """A blob whose brightness tells the right ascension; float32 planes."""
    size = int(query["size"])
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    blob = np.exp(-(x**2 + y**2) / (size / 8) ** 2) + 0.01
    colors = np.arange(1, num_planes + 1)[:, None, None] + float(query["ra"])
    return (blob * colors).astype(np.float32)


def fits_of(word, query):
    bands = "griz" if word == "other bands" else query["bands"]
    if word == "other size":
        query = query | {"size": int(query["size"]) // 2}
    cube = galaxy(query, len(bands))
    middle = int(query["size"]) // 2
    if word == "blank":
        cube[:] = 0
    elif word == "edge":
        cube[:, :, : middle + 6] = 0
    elif word == "no z":
        cube[bands.index("z")] = 0
    hdu = fits.PrimaryHDU(None if word == "no overlap" else cube)
    header = hdu.header
    header["SURVEY"], header["BANDS"] = "LegacySurvey", bands
    if word == "no overlap":
        header["OVERLAP"] = False
    scale = float(query["pixscale"]) / 3600
    header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN")
    header.update(CRVAL1=float(query["ra"]), CRVAL2=float(query["dec"]))
    header.update(CRPIX1=middle + 0.5, CRPIX2=middle + 0.5, CD1_1=-scale, CD2_2=scale)
    file = io.BytesIO()
    hdu.writeto(file)
    return file.getvalue()


def jpeg_of(word, query):
    rgb = np.clip(galaxy(query | {"ra": 0}, 3) * 60, 0, 255).astype(np.uint8)
    if word == "blank":
        rgb[:] = 32
    elif word == "other size":
        rgb = rgb[:, ::2, ::2]
    file = io.BytesIO()
    Image.fromarray(np.moveaxis(rgb, 0, -1)).save(file, "JPEG")
    return file.getvalue()
