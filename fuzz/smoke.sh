#!/usr/bin/env bash
# A short run of every fuzz target, from the seeds: `fuzz/smoke.sh [seconds for each]`. Needs a C++ compiler, and no
# nightly Rust. A find fails it, and lies in `fuzz/artifacts/<target>`. For long runs, `cargo fuzz run <target>` works too.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-5}
read -ra targets <<<"${*:2}"
[ "${#targets[@]}" -gt 0 ] || targets=(json sse event_stream base64 inflate request_scanner rewrite response_meter)
cargo build --quiet --release --locked
bin=$(echo target/*/release)
for target in "${targets[@]}"; do
  mkdir -p "corpus/$target" "artifacts/$target"
  log=artifacts/$target.log
  if "$bin/$target" -max_total_time="$seconds" -max_len=4096 -seed=1 -timeout=5 -rss_limit_mb=1024 \
    -artifact_prefix="artifacts/$target/" "corpus/$target" "seeds/$target" 2>"$log"; then
    echo "$target: $(grep '^Done' "$log")"
  else
    tail -40 "$log"
    echo "$target: a find, see fuzz/artifacts/$target"
    exit 1
  fi
done
