"""Two endpoints in two images; the module imports what the image that it finds itself in has."""

import modal

stub = modal.Stub(
    "two-images",
    light=modal.Image.debian_slim(),
    heavy=modal.Image.debian_slim().pip_install(["numpy"]),
)

if stub.is_inside(stub.heavy):
    import numpy as np

PLACE = "light" if stub.is_inside() else "outside"
if stub.is_inside(stub["heavy"]):
    PLACE = "heavy"


@stub.webhook(image=stub.heavy)
def solve(a: float, b: float, c: float):
    roots = np.roots([a, b, c])
    return {"place": PLACE, "roots": sorted(float(root) for root in roots if abs(root.imag) < 1e-12)}


@stub.webhook(image=stub.light)
def place():
    try:
        import numpy  # noqa: F401
    except ImportError:
        return {"place": PLACE, "local": modal.is_local(), "numpy": False}
    return {"place": PLACE, "local": modal.is_local(), "numpy": True}


if __name__ == "__main__":
    assert PLACE == "outside"
    stub.serve()
