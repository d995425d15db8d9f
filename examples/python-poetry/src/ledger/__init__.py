"""Adds up amounts."""

from importlib.metadata import PackageNotFoundError, version

from flask import Flask

from ledger.sums import total


def create_app() -> Flask:
    app = Flask(__name__)

    @app.get("/<path:amounts>")
    def add(amounts: str) -> dict:
        return {"total": total(amounts.split("/")), "ledger": version("ledger"), "pytest": installed("pytest")}

    return app


def installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False
