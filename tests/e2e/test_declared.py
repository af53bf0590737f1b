"""What a program declares, seen from inside its containers: images, objects, included apps."""

from __future__ import annotations

from tools import Command, request

STUB = """
    import modal

    image = modal.Image.debian_slim()
    stub = modal.Stub("declared", image=image)
    stub.other = modal.Image.debian_slim().env({"KIND": "other"})
    where = [stub.is_inside(image), stub.is_inside(stub.other), stub.is_inside()]


    @stub.webhook
    def first():
        return {"where": where, "tags": stub.registered_functions == ["first", "second"]}


    @stub.webhook(image=stub["other"])
    def second():
        app = modal.container_app
        return {"where": where, "first": app.first.local(), "same": app["first"] is stub.first}
"""

PART = """
    import modal

    app = modal.App("part", secrets=[modal.Secret.from_dict({"PART": "1"})])


    @app.function()
    @modal.fastapi_endpoint()
    def part():
        import os

        return os.environ["PART"]
"""

WHOLE = """
    import modal
    import part

    app = modal.App("whole").include(part.app)


    @app.function()
    @modal.fastapi_endpoint()
    def whole():
        import os

        return os.environ.get("PART")
"""


def test_a_container_knows_its_image_and_the_objects_of_its_app(program, serve) -> None:
    command: Command = serve(program(STUB))
    first = {"where": [True, False, True], "tags": True}
    assert request(command.url("first")).json() == first
    inside = [False, True, True]
    assert request(command.url("second")).json() == {
        "where": inside,
        "first": {**first, "where": inside},
        "same": True,
    }


def test_an_included_app_keeps_its_own_secrets(program, serve) -> None:
    program(PART, "part.py")
    command: Command = serve(program(WHOLE))
    assert request(command.url("part")).json() == "1"
    assert request(command.url("whole")).json() is None
