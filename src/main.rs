//! The binary: hands over to the library and returns its exit code.

use std::process::ExitCode;

/// Small objects by the thousand: mimalloc keeps them apart cheaper than the system's allocator, above all on musl.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    snowgate::cli::main()
}
