# Every target first makes sure of what it needs: packages in .venv, a MySQL-compatible server, a Redis.
PYTHON ?= python3
RUN := .venv/bin/python -m

# Neither another Python's path nor its options reach this one: `python -m` has to find the code here.
unexport $(filter PYTHON%,$(.VARIABLES))

# A misspelt variable would silently mean the default. What begins with TWINS_ is a setting (shared/settings.py).
VARIABLES := PYTHON PROFILE PAIRS SEED TWINS HOST PARTS KNEES FAULTS TIMES FLAW USERS N LAB_USER LAB_SHORT A B THRESHOLD
given = $(foreach each,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(each)))),$(each)))
UNKNOWN := $(filter-out $(VARIABLES) TWINS_% MAKE% SHELL -%,$(given))
ifneq ($(UNKNOWN),)
NEAREST = import difflib, sys; print(*("; did you mean %s?" % near for near in difflib.get_close_matches(sys.argv[1].upper(), sys.argv[2:], 1)))
$(error no such variable: $(firstword $(UNKNOWN))$(shell $(PYTHON) -c '$(NEAREST)' $(firstword $(UNKNOWN)) $(VARIABLES)) There are: $(VARIABLES), and settings: TWINS_...)
endif

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-observability bench ladder limits growth faults endurance throttle report compare dashboards dashboards-check openapi schema demo load lab labs lab-reset own slides sheet up down status compose-up compose-bench compose-down test check format lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-19s  %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing: packages, MySQL-compatible server, Redis
	@$(PYTHON) loadtests/bootstrap.py

setup-dev: ## what `make test` and `make check` need besides
	@$(PYTHON) loadtests/bootstrap.py --dev

setup-observability: ## install Prometheus and its exporters; the stack starts them from then on
	@$(PYTHON) loadtests/bootstrap.py --observability

BENCH = $(if $(PROFILE),--profile $(PROFILE)) $(if $(PAIRS),--pairs $(PAIRS)) $(if $(SEED),--seed $(SEED)) \
	$(if $(TWINS),--twins $(TWINS))
# In the environment HOST is whatever the shell says: the name of this machine.
ifeq ($(origin HOST),command line)
unexport HOST
BENCH += --host $(HOST)
endif
# What is about several services is a study: its parts are the profile with Redis, and with Redis killed.
THROTTLE_PARTS = --parts $(PROFILE),$(PROFILE)-killed
bench: setup ## load both twins and compare them (PROFILE=ramp PAIRS=3 SEED=1 TWINS=naive_sync,async_dedup HOST=http://...); PROFILE=noisy, rush: their throttle and budget
	@$(if $(filter noisy rush,$(PROFILE)),$(RUN) loadtests.studies.throttle $(THROTTLE_PARTS) $(filter-out --profile $(PROFILE),$(BENCH)),$(RUN) loadtests.bench $(BENCH))

STEPS = naive_sync,upsert,group_upsert,redis_count,async_dedup
ladder: setup ## measure the steps between the twins and write docs/ladder.md (PAIRS=3 SEED=1)
	@$(RUN) loadtests.bench $(BENCH) --twins $(STEPS) --results loadtests/results/ladder
	@$(RUN) loadtests.studies.ladder

PARTS_OF = $(if $(PARTS),--parts $(PARTS)) $(if $(SEED),--seed $(SEED))
limits: setup ## measure the async twin's limits beside their targets and write docs/limits.md (PARTS=flush,start PAIRS=5 SEED=1)
	@$(RUN) loadtests.studies.limits $(PARTS_OF) $(if $(PAIRS),--pairs $(PAIRS))

growth: setup ## measure how p95 and CPU per event grow and write docs/growth.md (PARTS=rate,trace KNEES=120,1600 SEED=1)
	@$(RUN) loadtests.studies.growth $(PARTS_OF) $(if $(KNEES),--knees $(KNEES))

PARTS_OF_FAULTS = $(if $(FAULTS),--parts $(FAULTS)) $(if $(SEED),--seed $(SEED)) $(if $(TIMES),--times $(TIMES))
faults: setup ## inject every kind of fault, account for every event, and write docs/faults.md (FAULTS=kill-api,full-redis TIMES=10 SEED=1)
	@$(RUN) loadtests.studies.faults $(PARTS_OF_FAULTS)

endurance: setup ## a long outage of MySQL, half an hour of faults; writes docs/endurance.md (PARTS=outage SEED=1)
	@$(RUN) loadtests.studies.endurance $(PARTS_OF)

throttle: setup ## a noisy service, a rush of new issues, what a limit costs; writes docs/throttle.md (PARTS=noisy,rush,cost PAIRS=3 SEED=1)
	@$(RUN) loadtests.studies.throttle $(PARTS_OF) $(if $(PAIRS),--pairs $(PAIRS))

report: setup ## write RESULTS.md, report.html, the README's figures and picture and the soak's in docs/method.md again
	@$(RUN) loadtests.report

compare: setup ## tell whether run B is worse than run A (A=... B=... THRESHOLD=10)
	@$(RUN) loadtests.compare "$(A)" "$(B)" $(if $(THRESHOLD),--threshold $(THRESHOLD))

dashboards: setup-dev ## write grafana/dashboards/ again
	@$(RUN) grafana.build

FRONT := grafana/frontend
dashboards-check: setup-dev setup-observability $(FRONT)/node_modules ## check the dashboards with Grafana's own types and components (needs Node.js 20)
	@npm --prefix $(FRONT) run --silent types
	@npm --prefix $(FRONT) run --silent bundle
	@$(RUN) tests.drawing

$(FRONT)/node_modules: $(FRONT)/package-lock.json
	@command -v npm > /dev/null || { echo "dashboards-check: needs npm and Node.js 20 or later, see nodejs.org"; exit 1; }
	@npm --prefix $(FRONT) ci
	@touch $@

openapi: setup ## write shared/openapi.json again, which the naive twin serves
	@.venv/bin/python -c 'import json, signal; signal.signal(signal.SIGINT, signal.SIG_DFL); from async_dedup.app import create_app; print(json.dumps(create_app().openapi(), indent=2))' > openapi.part
	@mv openapi.part shared/openapi.json

schema: setup ## write the JSON Schema of results.json again
	@$(RUN) loadtests.analysis.schema

# LAB_USER and LAB_SHORT reach them through the environment.
demo: setup ## show a flaw of the naive twin, beside the async one (FLAW=lost-update, duplicate-key, pool-exhaustion, hot-path, doubled-limit, oversold-budget; LAB_USER=ada)
	@$(RUN) loadtests.demo --flaw $(or $(FLAW),lost-update)

load: setup ## send the profile's events to what `make up` started; Locust's web UI changes the users (USERS=50 TWINS=async_dedup)
	@$(RUN) loadtests.play $(if $(USERS),--users $(USERS)) $(if $(TWINS),--twins $(TWINS))

lab: setup ## go through a lab of the workshop; what was done is kept (N=1 LAB_USER=ada LAB_SHORT=1)
	@$(RUN) loadtests.labs --n $(or $(N),1)

labs: setup ## list the labs, with what is done (LAB_USER=ada)
	@$(RUN) loadtests.labs

lab-reset: setup ## forget what was done (N=1, or all; LAB_USER=ada)
	@$(RUN) loadtests.labs --reset $(if $(N),--n $(N))

own: setup ## run your own twin (lab 10) until Ctrl-C, with MySQL and ports of its own, for make bench HOST=...
	@$(RUN) loadtests.labs --serve

slides: setup ## make slides of the labs' last results: .run/workshop/slides.html
	@$(RUN) loadtests.labs.handouts.slides

sheet: setup ## print the workshop's sheet, one page of A4: .run/workshop/sheet.pdf (needs Chromium)
	@$(RUN) loadtests.labs.handouts.sheet

up: setup ## start both twins and leave them running
	@$(RUN) loadtests.stack up

down: setup ## stop what `make up` started
	@$(RUN) loadtests.stack down

status: setup ## tell what runs, and where
	@$(RUN) loadtests.stack status

compose-up: ## the whole stack in containers, Grafana included (docs/compose.md)
	@docker compose up --detach --wait
	@docker compose ps

BENCHING := hot-path-twins-bench
compose-bench: ## the comparison in containers (PROFILE=ramp PAIRS=3); its figures are not those of `make bench`
	@if docker ps --format '{{.Names}}' | grep -qx $(BENCHING); then echo "compose-bench: the container $(BENCHING) runs already"; exit 1; fi
	@docker rm --force $(BENCHING) > /dev/null 2>&1 || true
	@docker compose --profile bench build --quiet
	@# Ctrl-C is for the bench: what it has finished is still copied.
	@trap : INT; docker compose --profile bench run --name $(BENCHING) bench $(BENCH); status=$$?; \
	if docker wait $(BENCHING) > /dev/null 2>&1; then \
		mkdir -p .run/results && docker cp --quiet $(BENCHING):/run/bench/results/. .run/results/ && echo "Copied to .run/results"; \
		docker rm $(BENCHING) > /dev/null; \
	fi; exit $$status

compose-down: ## remove the containers and their data
	@docker rm --force $(BENCHING) > /dev/null 2>&1 || true
	@docker compose --profile load --profile bench down --volumes

test: setup-dev ## run the tests
	@$(RUN) pytest -n 4 --dist loadfile --no-loadscope-reorder

check: setup-dev ## check format, lint, types, who imports whom, and known vulnerabilities
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@$(RUN) pytest -q tests/test_imports.py
	@$(RUN) bandit -q -ll -c pyproject.toml -r shared naive_sync async_dedup loadtests
	@$(RUN) tests.audit
	@if command -v hadolint; then hadolint */Dockerfile; fi
	@if command -v dclint; then dclint docker-compose.yml; fi
	@if docker compose version 2>/dev/null; then docker compose --profile load --profile bench config --quiet; fi

format: setup-dev ## format the code
	@$(RUN) ruff check --fix --select I .
	@$(RUN) ruff format .

COMPILE = $(RUN) uv pip compile pyproject.toml --generate-hashes --universal --no-header --no-emit-index-url -q
lock: setup-dev ## pin the packages of pyproject.toml again
	@$(COMPILE) -o requirements.lock
	@$(COMPILE) --extra dev -c requirements.lock -o requirements-dev.lock

clean: ## stop the stack, remove its data and the packages
	@if test -x .venv/bin/python; then $(RUN) loadtests.stack down; \
	$(foreach each,$(wildcard .run/learners/*/),TWINS_RUN_DIR=$(each) $(RUN) loadtests.stack down;) fi
	rm -rf .run .venv $(FRONT)/node_modules $(FRONT)/generated
