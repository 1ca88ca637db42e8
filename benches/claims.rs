//! Claims and completions on every backend beside the same work done by hand on its bare store.
//!
//! Criterion measures each arm by itself; the table at the end comes from runs in which the arms alternate.
//! With `line <n>` or `quick` it measures the lines of the targets instead, and with `compare` this build beside another one.

mod arm;
mod compare;
mod drive;
mod engine;
mod lines;
mod raw;
mod stage;
mod stats;
mod table;

use std::{
    cell::RefCell,
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    process::ExitCode,
    time::Duration,
};

use criterion::{Criterion, SamplingMode, Throughput, measurement::WallTime};
use tokio::{runtime::Runtime, sync::OnceCell};

use crate::{
    arm::{Arm, Side},
    drive::{Load, Shape},
    stage::{Stage, Store},
};

/// Why a measurement could not be made.
type Failure = Box<dyn Error + Send + Sync>;

/// How many workers claim at once.
const WORKERS: [usize; 4] = [1, 4, 16, 64];

/// One line of the table: a load on one store, measured on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    store: Store,
    load: Load,
}

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("claims: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let stage = Stage::new();
    if let Some(told) = other_than_criterion(&runtime, &stage) {
        runtime.block_on(stage.close());
        return told;
    }
    let rows = RefCell::new(Vec::new());
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let mut criterion = Criterion::default()
            .sample_size(10)
            .warm_up_time(Duration::from_secs(1))
            .measurement_time(Duration::from_secs(3))
            .configure_from_args();
        for shape in Shape::ALL {
            group(&mut criterion, shape, &runtime, &stage, &rows);
        }
        criterion.final_summary();
    }));
    let told = match ended {
        Ok(()) if is_bench() => runtime.block_on(table::print(&stage, &rows.into_inner())),
        Ok(()) => Ok(()),
        Err(payload) => match payload.downcast::<Failure>() {
            Ok(failure) => Err(*failure),
            Err(payload) => resume_unwind(payload),
        },
    };
    runtime.block_on(stage.close());
    told
}

/// What the arguments ask for if they are not those of criterion.
fn other_than_criterion(runtime: &Runtime, stage: &Stage) -> Option<Result<(), Failure>> {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let second = arguments.get(1).map(String::as_str);
    match arguments.first()?.as_str() {
        "once" => Some(runtime.block_on(compare::once(stage, second))),
        "compare" => Some(compare::with(second)),
        _ => match lines::asked(&arguments) {
            Ok(lines) => Some(runtime.block_on(lines::measure(stage, &lines?))),
            Err(failure) => Some(Err(failure)),
        },
    }
}

/// False where criterion only lists, tests or profiles the benchmarks.
fn is_bench() -> bool {
    let has = |switch: &str| std::env::args().any(|argument| argument == switch);
    has("--bench") && !["--test", "--list", "--profile-time"].into_iter().any(has)
}

fn group(criterion: &mut Criterion, shape: Shape, runtime: &Runtime, stage: &Stage, rows: &RefCell<Vec<Row>>) {
    let mut group = criterion.benchmark_group(shape.to_string());
    group.sampling_mode(SamplingMode::Flat);
    for store in Store::ALL {
        for workers in WORKERS {
            let row = Row { store, load: Load::new(shape, workers, store.count(workers)) };
            group.throughput(Throughput::Elements(row.load.count));
            for side in Side::ALL.into_iter().filter(|side| side.has(store, shape)) {
                let arm = OnceCell::new();
                group.bench_function(format!("{store}/{workers}/{side}"), |bencher| {
                    if !rows.borrow().contains(&row) {
                        rows.borrow_mut().push(row);
                    }
                    sample(bencher, runtime, row, async || {
                        arm.get_or_try_init(|| Arm::open(stage, store, side, workers)).await
                    });
                });
            }
        }
    }
    group.finish();
}

/// One sample: `iterations` runs, each on a store that was filled anew outside the time that counts.
fn sample<'a>(
    bencher: &mut criterion::Bencher<'_, WallTime>,
    runtime: &Runtime,
    row: Row,
    arm: impl AsyncFn() -> Result<&'a Arm, Failure>,
) {
    bencher.to_async(runtime).iter_custom(async |iterations| {
        let runs = async {
            let mut total = Duration::ZERO;
            for _ in 0..iterations {
                total += arm().await?.run(row.load).await?;
            }
            Ok::<_, Failure>(total)
        };
        // Criterion takes no error: the unwinding ends in `measure`, which tidies up.
        runs.await.unwrap_or_else(|failure| resume_unwind(Box::new(failure)))
    });
}
