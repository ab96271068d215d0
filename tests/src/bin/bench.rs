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
    println!("{}", bench::machine());
    for row in rows {
        println!(
            "\n{}: {}\n  cargo run --release -p weir-tests --bin bench -- {}\n",
            row.name, row.what, row.name
        );
        print!("{}", (row.measure)());
    }
    ExitCode::SUCCESS
}
