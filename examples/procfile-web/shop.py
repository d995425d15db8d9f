"""A WSGI app by hand: the Procfile alone says how to start it."""


def create_app(currency):
    prices = {"tea": 4, "coffee": 5}

    def app(environ, start_response):
        item = environ["PATH_INFO"].strip("/")
        if item not in prices:
            start_response("404 Not Found", [("content-type", "text/plain")])
            return [b"no such item\n"]
        start_response("200 OK", [("content-type", "text/plain")])
        return [f"{item} costs {prices[item]} {currency}\n".encode()]

    return app
