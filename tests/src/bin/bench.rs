//! The benchmark table: `cargo run --release -p weir-tests --bin bench [-- ROW]`. It fails when something breaks, not when
//! a target is missed.

use std::process::ExitCode;

use weir_tests::bench;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let rows: Vec<_> = bench::ROWS
        .iter()
        .filter(|row| wanted.is_empty() || wanted.iter().any(|name| name == row.name))
        .chain(wanted.iter().any(|name| name == bench::QUICK.name).then_some(&bench::QUICK))
        .collect();
    if rows.is_empty() {
        let names: Vec<_> = bench::ROWS.iter().chain([&bench::QUICK]).map(|row| row.name).collect();
        eprintln!("no such row, expected one of: {}", names.join(", "));
        return ExitCode::from(2);
    }
    let machine = bench::machine();
    println!("{machine}");
    let mut reports = Vec::new();
    for row in rows {
        println!(
            "\n{}: {}\n  cargo run --release -p weir-tests --bin bench -- {}\n",
            row.name, row.what, row.name
        );
        let report = (row.measure)();
        print!("{}", report.text);
        reports.push((row.name, report));
    }
    println!("\nAll targets of this run:\n\n{}", bench::report::summary(&reports));
    if let Some(file) = std::env::var_os("BENCH_JSON") {
        let json = bench::report::json(&machine, &reports);
        if let Err(error) = std::fs::write(&file, format!("{json:#}\n")) {
            eprintln!("{}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
