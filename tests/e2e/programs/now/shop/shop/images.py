"""What all parts run in."""

import modal

image = modal.Image.debian_slim().pip_install("fastapi[standard]")
