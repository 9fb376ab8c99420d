# The images, built and tried with buildah alone: no engine, no daemon. Included by the Makefile; not part of `make test`.
#
#   make images           the service, the load test and the training image
#   make images-cuda      the service for NVIDIA's GPUs
#   make images-check     drains a topic with the service image and verifies the output
#   make images-check-cuda    the image for GPUs, on a machine that has none
#   make cluster-check    compose.yaml's three nodes of Kafka without images: one is killed under load
#   make images-base      only where no registry can be reached: a stand-in for the official Python image
#   make images-clean     removes all of it
#
# They stay in a store of their own, so that a stand-in is never taken for the real thing elsewhere. `buildah push` with the
# same options sends them on.
IMAGES_DIR ?= /var/tmp/statecast-images
BUILDAH ?= buildah --storage-driver vfs --root $(IMAGES_DIR)/storage --runroot $(IMAGES_DIR)/run

# What pip is told on this machine (configuration files and PIP_*) and whom it trusts reach the builds as secrets.
PIP_CA ?= $(or $(PIP_CERT),$(SSL_CERT_FILE))
# One layer per stage, because vfs copies all of an image for each. Docker's format, because OCI's has no health check.
IMAGES_BUILD = $(BUILDAH) build --isolation chroot --network host --layers=false --format docker --pull=missing \
	--secret id=pip.conf,src=$(IMAGES_DIR)/pip.conf $(if $(PIP_CA),--secret id=ca.pem$(comma)src=$(PIP_CA)) $(IMAGES_FLAGS)
comma := ,

.PHONY: images images-service images-loadtest images-training images-cuda images-check images-check-cuda images-base images-clean cluster-check

images: images-service images-loadtest images-training

images-service: $(IMAGES_DIR)/pip.conf
	$(IMAGES_BUILD) --target service --tag localhost/statecast --file docker/Dockerfile .
	@$(BUILDAH) rmi --prune >/dev/null

images-loadtest: $(IMAGES_DIR)/pip.conf
	$(IMAGES_BUILD) --target loadtest --tag localhost/statecast-loadtest --file docker/Dockerfile .
	@$(BUILDAH) rmi --prune >/dev/null

images-training: $(IMAGES_DIR)/pip.conf
	$(IMAGES_BUILD) --tag localhost/statecast-training --file docker/Dockerfile.training .
	@$(BUILDAH) rmi --prune >/dev/null

images-cuda: $(IMAGES_DIR)/pip.conf
	$(IMAGES_BUILD) --tag localhost/statecast-cuda --file docker/Dockerfile.cuda .
	@$(BUILDAH) rmi --prune >/dev/null

images-base:
	BUILDAH="$(BUILDAH)" docker/base-image.sh

images-clean:
	$(BUILDAH) rm --all
	rm -rf $(IMAGES_DIR)

# It may hold a password, so make deletes it at the end. The first value of a key wins: the environment is listed first.
.INTERMEDIATE: $(IMAGES_DIR)/pip.conf
$(IMAGES_DIR)/pip.conf:
	@mkdir -p $(IMAGES_DIR) && chmod 700 $(IMAGES_DIR)
	@$(PYTHON) -m pip config list | awk -v ca='$(PIP_CA)' -F "='" ' \
		BEGIN { print "[global]"; if (ca) { print "cert = /run/secrets/ca.pem"; seen["cert"] } } \
		{ key = $$1; sub(/^.*\./, "", key); if (!(key in seen)) print key " = " substr($$2, 1, length($$2) - 1); seen[key] }' \
		> $@

images-check: $(VENV)/.ready
	BUILDAH="$(BUILDAH)" PYTHONPATH=. $(BIN)/python docker/check.py

images-check-cuda: $(VENV)/.ready
	BUILDAH="$(BUILDAH)" PYTHONPATH=. $(BIN)/python docker/check_cuda.py

cluster-check: $(VENV)/.ready
	PYTHONPATH=. $(BIN)/python docker/check_cluster.py
