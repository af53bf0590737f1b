"""Hello world: one function, one URL.

pilotlight serve examples/hello_world.py
"""

import pilotlight

app = pilotlight.App("hello-world")


@app.function()
@pilotlight.fastapi_endpoint()
def hello():
    return "Hello world!"


if __name__ == "__main__":
    app.serve()
