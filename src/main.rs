//! The `rolegate` program: parse arguments, run, set the exit code.

fn main() -> std::process::ExitCode {
    rolegate::cli::main()
}
