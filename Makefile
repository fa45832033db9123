# The four things to do here. `setup` is a prerequisite of each and a no-op when nothing is missing.

.PHONY: demo test test-long lint bench setup

# The incident, for real. `make demo YES=1` approves by itself, for CI. `make demo KEEP=1` leaves everything up.
demo: setup
	cargo run --package lockgate --bin lockgate -- demo $(if $(YES),--yes) $(if $(KEEP),--keep)

test: setup
	cargo test --workspace --no-fail-fast

# Campaigns that take minutes: kill -9 a hundred times, and the larger property runs.
test-long: setup
	cargo test --workspace --no-fail-fast -- --include-ignored

lint: setup
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet

bench: setup
	cargo run --release --package lockgate-benches

setup:
	@scripts/setup
