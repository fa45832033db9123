# What there is to do here. A setup is a prerequisite of each and a no-op when nothing is missing.

.PHONY: demo test test-long test-matrix lint bench setup setup-build

# The incident, for real. `make demo YES=1` approves by itself, for CI. `make demo KEEP=1` leaves everything up.
# Of the whole workspace, as the tests are: a package by itself has other features, and all would be built twice.
demo: setup-build
	cargo build --workspace --bin lockgate
	$${CARGO_TARGET_DIR:-target}/debug/lockgate demo $(if $(YES),--yes) $(if $(KEEP),--keep)

# Most tests wait for what happens on a server, so many more of them run at once than there are cores.
TEST_THREADS ?= 8

test: setup
	cargo test --workspace --no-fail-fast -- --test-threads=$(TEST_THREADS)

# Campaigns that take minutes: kill -9 a hundred times, and the larger property runs.
test-long: setup
	cargo test --workspace --no-fail-fast -- --include-ignored --test-threads=$(TEST_THREADS)

# The stock packs on every version of PostgreSQL, 13 to 18, and the table of what each action came to.
# LOCKGATE_WRITE_DOCS=1 writes docs/packs/versions.md; otherwise the test compares with it.
test-matrix:
	@scripts/setup --all-servers
	LOCKGATE_TEST_SERVERS=all cargo test --workspace --test catalogue -- --test-threads=$(TEST_THREADS)
	@cat target/test-matrix.md

lint: setup-build
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

bench: setup-build
	@benches/peers.sh
	cargo build --release --package lockgate-benches --package lockgate-signing
	target/release/lockgate-benches

setup:
	@scripts/setup

# Without the servers that only tests need.
setup-build:
	@scripts/setup --no-servers
