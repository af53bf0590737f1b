"""How many containers there are: none when idle for 10 seconds, two kept warm, ten at most."""

import time

import pilotlight

app = pilotlight.App("scaling")


@app.function(min_containers=2, max_containers=10, scaledown_window=10, timeout=60)
@pilotlight.fastapi_endpoint()
def slow(seconds: float = 1.0):
    time.sleep(seconds)
    return {"slept": seconds}


if __name__ == "__main__":
    app.serve()
