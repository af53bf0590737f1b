"""A stand-in for the SDK: its decorators leave a handle, as the real ones do."""


class Handle:
    def __init__(self, raw):
        self._pilotlight_raw = raw

    def __call__(self, *args, **options):
        raise AssertionError("the runner must call the raw function, not its handle")


class Stub:
    def webhook(self, raw):
        return Handle(raw)

    asgi = wsgi = webhook

    def serve(self):
        raise AssertionError("the module was run as __main__")
