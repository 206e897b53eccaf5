//! How long each piece of work on a flow takes: `cargo bench -p zct-perf --bench pieces`. Throughput is
//! counted in flows.

use criterion::{Criterion, Throughput};
use zct_perf::pieces::{Material, PIECES};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut material = Material::default();
    let mut group = criterion.benchmark_group("pieces");
    group.throughput(Throughput::Elements(material.flows()));
    for piece in PIECES {
        group.bench_function(piece.name, |b| b.iter(|| (piece.run)(&mut material)));
    }
    group.finish();
    criterion.final_summary();
}
