# Two commands do all the set-up: `make demo` and `make test`.
# The first Python >= 3.12 that runs is used; `make PYTHON=/path/to/python demo` names another.
SHELL := /bin/bash
CANDIDATES := python3 python3.14 python3.13 python3.12
PYTHON ?= $(shell for p in $(CANDIDATES); do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
CODE := srvid sr_core sr_video sr_image sr_work sr_zoo sr_train trt_build vapoursynth_filter sr_plugins sr_ui cli tests benchmarks examples docs release

HOSTS ?= $(HOME)/.cache/srvid-hosts/trixie

.PHONY: docs dist demo test test-hosts test-engines check bench clean
demo: .make/run
	@mkdir -p out
	$(BIN)/srvid examples/flower.mp4 out/demo.mp4 --scale 4 --overwrite
	@$(BIN)/srkit compare examples/flower.mp4 out/demo.mp4 out/demo-before-after.png --at 1 --overwrite
	@echo "Look at out/demo-before-after.png, or play out/demo.mp4"

test: .make/test
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile

lint: .make/test
	$(BIN)/ruff format --check --quiet $(CODE)
	$(BIN)/ruff check --quiet $(CODE)
	$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	$(BIN)/mypy

check: lint
	$(BIN)/python -m pytest -q tests/core

# The plug-ins inside the real GIMP 3, Krita 5.2 and napari (root, a Debian tree of 1.3 GB, some minutes).
test-hosts: .make/test
	bash tests/plugins/hosts/make_tree.sh $(HOSTS)
	bash tests/plugins/hosts/make_napari.sh $(HOSTS)/../napari-venv $(PYTHON)
	SRVID_HOST_TREE=$(HOSTS) SRVID_REQUIRE_HOSTS=1 $(BIN)/python -m pytest tests/plugins

# Every shipped model for every TensorRT-RTX target in every format.
test-engines: .make/test
	SRVID_EVERY_ENGINE=1 $(BIN)/python -m pytest tests/trt/test_shipped_models.py

# The site, into build/site: pages of docs/, references made from docstrings and from click.
docs: .make/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "Look at build/site/index.html"

# What a release is, made and tried: sdist, a wheel a platform, recipes, bill of materials, into dist/ (minutes).
dist: .make/test
	@$(PIP) -e '.[release]'
	$(BIN)/hadolint release/Containerfile.cpu release/Containerfile.nvidia
	$(BIN)/python release/make_dist.py

bench: .make/test
	@for b in benchmarks/*.py; do echo "== $$b"; $(BIN)/python $$b; done

clean:
	rm -rf .venv .make out build dist

.make/venv:
	@test -n "$(PYTHON)" || { echo "srvid needs Python 3.12 or newer; none of these runs: $(CANDIDATES)."; \
		echo "Install it (apt install python3.12, brew install python, pyenv install 3.12, or python.org),"; \
		echo "or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "setting up .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv
	@mkdir -p .make && touch $@

.make/run: .make/venv pyproject.toml constraints.txt hatch_build.py vapoursynth_filter/native/srvid.c
	@$(PIP) -e .
	@touch $@

.make/docs: .make/venv pyproject.toml constraints.txt
	@$(PIP) -e '.[docs]'
	@touch $@ .make/run

.make/test: .make/venv pyproject.toml constraints.txt hatch_build.py vapoursynth_filter/native/srvid.c
	@echo "installing what the tests need (torch among it: a few GB the first time)"
	@$(PIP) -e '.[test]'
	@touch $@ .make/run
