//! The plugins that the benchmarks call.

use std::io;
use std::path::PathBuf;

use portreeve_build::BuildOptions;

/// The plugin in this folder of the workspace, built as its author would build it.
///
/// # Errors
/// When it cannot be built or read.
pub(crate) fn build(folder: &str) -> io::Result<Vec<u8>> {
    // Cargo sets it when it runs a benchmark; the path is not compiled in.
    let bench = std::env::var("CARGO_MANIFEST_DIR").map_err(|_| io::Error::other("run it with `cargo bench`"))?;
    let bench = PathBuf::from(bench);
    let workspace =
        bench.ancestors().nth(2).ok_or_else(|| io::Error::other("the benchmark is not in its workspace"))?;
    let target = workspace.join("target").join("guests");
    let options = BuildOptions { target_dir: &target, offline: false, progress: &|_| {} };
    let built = portreeve_build::build(&[workspace.join(folder)], &options).map_err(io::Error::other)?;
    let plugin = built.first().ok_or_else(|| io::Error::other("nothing was built"))?;
    std::fs::read(&plugin.component)
        .map_err(|error| io::Error::other(format!("failed to read `{}`: {error}", plugin.component.display())))
}
