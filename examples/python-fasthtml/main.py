from fasthtml.common import H1, P, Titled, fast_app, serve

app, rt = fast_app()


@rt("/{name}")
def get(name: str):
    return Titled("A page", H1(name.title()), P(f"{len(name)} letters"))


serve()
