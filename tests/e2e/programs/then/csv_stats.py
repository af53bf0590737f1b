"""Takes a CSV file by upload and answers with the statistics of its columns."""

import csv
import io
from typing import List, Optional

import modal
from fastapi import File, HTTPException, UploadFile
from pydantic import BaseModel

stub = modal.Stub("csv-stats", image=modal.Image.debian_slim().pip_install(["numpy"]))


class Column(BaseModel):
    name: str
    mean: float
    deviation: float
    largest: Optional[float]


class Report(BaseModel):
    filename: str
    rows: int
    columns: List[Column]


@stub.webhook(method="POST", cpu=0.5, memory=256, timeout=60)
async def stats(upload: UploadFile = File(...), delimiter: str = ",") -> Report:
    import numpy as np

    text = (await upload.read()).decode("utf-8-sig")
    header, *rows = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    try:
        table = np.array(rows, dtype=float)
    except ValueError as error:
        raise HTTPException(422, f"{upload.filename}: {error}") from error
    columns = [
        Column(name=name, mean=values.mean(), deviation=values.std(), largest=values.max())
        for name, values in zip(header, table.T)
    ]
    return Report(filename=upload.filename, rows=len(rows), columns=columns)


if __name__ == "__main__":
    stub.serve()
