# One word per task. The build itself is Meson and Ninja in build/; tools/setup installs what is missing.
BUILD ?= build
NINJA = ninja -C $(BUILD)
MESON_TEST = meson test -C $(BUILD) --print-errorlogs

.PHONY: all setup demo test test-all soak lint bench fuzz fault cov docs ui clean

all: $(BUILD)/build.ninja
	$(NINJA)

setup:
	tools/setup

$(BUILD)/build.ninja: tools/setup
	tools/setup
	test -f $@ || meson setup $(BUILD)

demo: all            ## turns the whole loop on real flights; report in build/demo/report.json
	python3 tools/demo/demo.py --build $(BUILD)

test: all            ## unit and scenario tests
	$(MESON_TEST) --suite unit --suite scenario

test-all: all        ## also integration with programs that are not ours, faults, sanitizers
	tools/setup --all
	$(MESON_TEST)
	tools/sanitize address
	tools/sanitize thread

soak: all            ## long simulations and fuzzing
	tools/setup --all
	$(MESON_TEST) --suite soak --timeout-multiplier 10

lint:                ## layers, sizes, banned functions, repeats, format
	tools/setup
	tools/lint

bench: all           ## every claim with its reference measured in the same run
	tools/setup --all
	python3 tests/bench/run.py --build $(BUILD)

fuzz:                ## libFuzzer on every reader of foreign bytes
	tools/setup --all
	tools/fuzz

fault: all           ## kills, full disks, locked and unreadable stores
	$(MESON_TEST) --suite fault

cov:                 ## line coverage of the unit and scenario tests
	tools/setup --all
	tools/coverage

docs: all            ## docs/reference from spec/
	$(NINJA) docs

clean:
	rm -rf $(BUILD)
