"""What has to do with words."""

from .endpoints import count, slug

__all__ = ["count", "slug"]
