"""Streams a countdown, line by line, and a table, row by row (as one wrote it in May 2023)."""

import asyncio
import csv
import io
import json

import modal
from fastapi.responses import StreamingResponse

stub = modal.Stub("countdown")


@stub.function(allow_concurrent_inputs=10, keep_warm=1)
@modal.web_endpoint(label="countdown")
async def countdown(start: int = 3, every: float = 0.01):
    async def lines():
        for left in range(start, -1, -1):
            yield json.dumps({"left": left}) + "\n"
            await asyncio.sleep(every)

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@stub.function(timeout=60)
@modal.web_endpoint(method="POST", wait_for_response=True)
def table(body: dict):
    def rows():
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["n", "square"])
        for n in range(body["rows"]):
            writer.writerow([n, n * n])
            yield text.getvalue()
            text.seek(0)
            text.truncate()

    name = body.get("name", "squares")
    headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
    return StreamingResponse(rows(), media_type="text/csv", headers=headers)


if __name__ == "__main__":
    stub.serve()
