"""The builders of `Image`, of all eras."""

from __future__ import annotations

from ..table import Area, works

IMAGE = Area(
    "Images",
    "",
    (
        works(
            "Image.pip_install(packages, find_links=…, index_url=…, extra_index_url=…, pre=…)",
            sees="@app.function(image=modal.Image.debian_slim().pip_install('a', ['b'], find_links='f', "
            "index_url='i', extra_index_url='e', pre=True))",
            expect="steps == [{'kind': 'pip_install', 'packages': ['a', 'b'], 'find_links': 'f', "
            "'index_url': 'i', 'extra_index_url': 'e', 'pre': True}]",
        ),
    ),
)
