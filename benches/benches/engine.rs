//! `make bench-core`: time of each case. On one machine, before and after; absolute times are the machine's.

#![allow(missing_docs, reason = "what criterion's macros make")]

use criterion::{Criterion, criterion_group, criterion_main};

fn engine(c: &mut Criterion) {
    for (name, mut case) in purser_benches::cases() {
        c.bench_function(name, |b| b.iter(&mut case));
    }
}

criterion_group!(benches, engine);
criterion_main!(benches);
