# What the images install, with the hash of every file: written from pyproject.toml and constraints.txt. Included by the
# Makefile.
#
#   make locks    writes docker/locks/*.txt again; needed after each change of the two, and a test says so
#   make audit    asks for known vulnerabilities of what is locked
#
# Universal: one file holds for every platform that a package has a wheel for, x86_64 and aarch64 alike.
LOCKS := docker/locks
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make locks" --constraints constraints.txt
AUDIT ?= pip-audit==2.10.1
AUDIT_SERVICE ?= osv

.PHONY: locks audit

locks: $(VENV)/.ready
	@rm -f $(LOCKS)/*.txt
	$(LOCK) --output-file $(LOCKS)/build.txt $(LOCKS)/build.in
	$(LOCK) --output-file $(LOCKS)/service.txt --extra fast pyproject.toml
	$(LOCK) --output-file $(LOCKS)/cuda.txt --extra fast --no-emit-package onnxruntime pyproject.toml $(LOCKS)/cuda.in
	$(LOCK) --output-file $(LOCKS)/loadtest.txt --extra fast --extra loadtest pyproject.toml
	$(LOCK) --output-file $(LOCKS)/training.txt --extra train pyproject.toml

# In an environment of its own, which uv makes and keeps apart.
audit: $(VENV)/.ready
	@for lock in $(LOCKS)/*.txt; do echo "$$lock"; \
		$(BIN)/uv tool run --quiet --python $(BIN)/python --from $(AUDIT) \
			pip-audit --strict --require-hashes --disable-pip --vulnerability-service $(AUDIT_SERVICE) -r $$lock \
		|| { echo "$$lock: something is known, or $(AUDIT_SERVICE) did not answer"; exit 1; }; done
