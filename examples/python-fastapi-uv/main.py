"""Adds numbers; pydantic checks them."""

from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI(title="sums")


class Sum(BaseModel):
    terms: list[int] = Field(min_length=1)
    total: int


@app.get("/sum")
def add(terms: str) -> Sum:
    numbers = [int(term) for term in terms.split(",")]
    return Sum(terms=numbers, total=sum(numbers))
