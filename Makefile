# `make check` is what CI and a contributor run before a commit.
PYTHON ?= python

.PHONY: check format lint types test proof

check: lint types test

format:
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

lint:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types:
	$(PYTHON) -m mypy

test:
	$(PYTHON) -m pytest

# One to two hours on two cores: eighty rated chats become a version, see docs/proof.md
proof:
	$(PYTHON) -m pytest -m proof tests/proof
