//! `make bench-instructions`: instructions of each case, counted by valgrind. They hardly differ between runs, so a rise of
//! two per cent is a rise.
//!
//! Without arguments: counts every case. `instructions CASE TIMES`: the run that is counted.

use std::process::{Command, ExitCode};

const TIMES: u64 = 50;

/// Instructions of this program running a case so many times.
fn count(case: &str, times: u64) -> Option<u64> {
    let program = std::env::current_exe().ok()?;
    let output = Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(program)
        .args([case, &times.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|line| line.contains("I refs:") || line.contains("I   refs:"))?;
    line.rsplit(' ').next()?.replace(',', "").parse().ok()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [name, times] = arguments.as_slice() {
        let found = purser_benches::cases().into_iter().find(|(case, _)| case == name);
        let (Some((_, mut case)), Ok(times)) = (found, times.parse::<u64>()) else { return ExitCode::FAILURE };
        (0..times).for_each(|_| case());
        return ExitCode::SUCCESS;
    }
    println!("| case | instructions |");
    println!("|---|--:|");
    for (name, _) in purser_benches::cases() {
        // What starting and warming up takes falls out.
        let (Some(once), Some(more)) = (count(name, 1), count(name, TIMES + 1)) else {
            eprintln!("valgrind is not there: apt-get install valgrind");
            return ExitCode::FAILURE;
        };
        println!("| {name} | {} |", more.saturating_sub(once) / TIMES);
    }
    ExitCode::SUCCESS
}
