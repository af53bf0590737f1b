"""Digests of uploads that are never held whole, and a stream that is made piece by piece."""

import hashlib

import modal

image = modal.Image.debian_slim().pip_install("fastapi[standard]")
app = modal.App("digest", include_source=True)

with image.imports():
    from fastapi import FastAPI, Header, HTTPException, Request, UploadFile
    from fastapi.responses import JSONResponse, StreamingResponse


@app.function(image=image, cpu=0.5, memory=256)
@modal.concurrent(max_inputs=4)
@modal.asgi_app()
def web():
    api = FastAPI()

    @api.put("/digest/{algorithm}")
    async def digest(request: Request, algorithm: str):
        if algorithm not in hashlib.algorithms_guaranteed:
            raise HTTPException(404, f"no algorithm {algorithm}")
        running, size, pieces = hashlib.new(algorithm), 0, 0
        async for piece in request.stream():
            running.update(piece)
            size += len(piece)
            pieces += bool(piece)
        return {"digest": running.hexdigest(), "bytes": size, "pieces": pieces}

    @api.post("/files")
    def files(files: list[UploadFile], x_salt: str = Header("")):
        digests = {f.filename: hashlib.sha256(x_salt.encode() + f.file.read()).hexdigest() for f in files}
        return JSONResponse(digests, headers={"x-files": str(len(files))})

    @api.get("/stream/{megabytes}")
    async def stream(megabytes: int):
        async def pieces():
            block = bytes(range(256)) * 256
            for _ in range(megabytes * 16):
                yield block

        return StreamingResponse(pieces(), media_type="application/octet-stream")

    return api
