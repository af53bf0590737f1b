"""Draws the Mandelbrot set with numpy, as a PNG file written by hand."""

import struct
import zlib

import modal

image = modal.Image.debian_slim().pip_install("fastapi[standard]").pip_install("numpy")
app = modal.App("mandelbrot")

with image.imports():
    import numpy as np
    from fastapi import HTTPException, Response


def png(pixels) -> bytes:
    height, width = pixels.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@app.function(image=image, timeout=30, startup_timeout=60, scaledown_window=20, min_containers=1)
@modal.fastapi_endpoint()
def draw(width: int = 64, height: int = 48, limit: int = 50):
    if width * height > 1_000_000:
        raise HTTPException(413, "at most a million pixels")
    plane = np.linspace(-2.2, 0.8, width)[None, :] + 1j * np.linspace(-1.2, 1.2, height)[:, None]
    z, steps = np.zeros_like(plane), np.zeros(plane.shape, dtype=np.uint8)
    for _ in range(limit):
        alive = np.abs(z) <= 2
        z[alive] = z[alive] ** 2 + plane[alive]
        steps[alive] += 1
    pixels = (255 - steps * (255 // limit)).astype(np.uint8)
    return Response(png(pixels), media_type="image/png", headers={"cache-control": "max-age=3600"})
