"""A stand-in for the SDK: its decorators leave a handle, as the real ones do."""


class Handle:
    def __init__(self, raw):
        self._pilotlight_raw = raw

    def __call__(self, *args, **options):
        raise AssertionError("the runner must call the raw function, not its handle")


class Partial(Handle):
    """What a decorator leaves in a class."""

    def __init__(self, raw, hook=None):
        super().__init__(raw)
        self._pilotlight_hook = hook


def enter(*, snap=False):
    return lambda raw: Partial(raw, "enter_snap" if snap else "enter")


def exit():
    return lambda raw: Partial(raw, "exit")


def web(raw):
    return Partial(raw)


class Stub:
    def webhook(self, raw):
        return Handle(raw)

    asgi = wsgi = webhook

    def serve(self):
        raise AssertionError("the module was run as __main__")
