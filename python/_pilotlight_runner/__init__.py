"""What runs inside containers: one function of the user's behind an ASGI server, on a socket the host made.

The steps are separate so that a process can stop between any two of them and be forked: `deps.prepare`
imports the server's libraries, `load.load` the user's module, `apps.build` makes the web app, `serve.serve`
answers requests. Nothing here is shared with the SDK; the messages of `control` are all that the host and
this package agree on.
"""
