"""Small tools, each an endpoint; the files of the package share one stub."""
