"""Shows where each of its settings comes from: a .env file, the app, the function."""

import modal

image = modal.Image.debian_slim().pip_install("fastapi[standard]").env({"COLOUR": "grey", "SHAPE": "round"})
app = modal.App(
    "settings-page",
    image=image,
    secrets=[modal.Secret.from_dict({"COLOUR": "red", "OWNER": "the app", "TITLE": "untitled"})],
)


@app.function(secrets=[modal.Secret.from_dotenv(__file__)])
@modal.fastapi_endpoint(label="settings")
def page(names: str = "TITLE,COLOUR,GREETING,REGION,OWNER,SHAPE"):
    import os

    return {name: os.environ.get(name) for name in names.split(",")}


@app.function(
    secrets=[modal.Secret.from_dotenv(__file__), modal.Secret.from_local_environ(["STAGE"])],
    env={"COLOUR": "blue", "OWNER": "the function", "REGION": None},
)
@modal.fastapi_endpoint()
def overridden():
    import os

    from fastapi.responses import PlainTextResponse

    names = ["TITLE", "COLOUR", "OWNER", "STAGE"]
    return PlainTextResponse(" / ".join(os.environ[name] for name in names))
