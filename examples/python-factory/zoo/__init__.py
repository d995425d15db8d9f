"""An application made by a function, as Flask's own tutorial has it."""

from flask import Flask


def create_app(test_config=None):
    app = Flask(__name__)
    app.config.from_mapping(test_config or {})

    @app.get("/")
    def animals():
        return {"animals": ["okapi", "quokka"]}

    return app
