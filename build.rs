//! Makes sure that the folder of the built page is there to be embedded, empty if nobody built it.

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=web/dist");
    // The `getrandom` crate looks its function up by name at run time: the simulation's stand-in must be found there.
    println!("cargo::rustc-link-arg-tests=-Wl,--export-dynamic");
    std::fs::create_dir_all("web/dist")
}
