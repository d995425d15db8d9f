"""A visitor counter in memory, served by gunicorn."""

from itertools import count

from flask import Flask, jsonify, request

app = Flask(__name__)
visits = count(1)


@app.get("/")
def home():
    name = request.args.get("name", "world")
    return jsonify(greeting=f"hello {name} from Flask", visit=next(visits))
