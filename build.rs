//! Makes sure that the folder of the built page is there to be embedded, empty if nobody built it.

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=web/dist");
    std::fs::create_dir_all("web/dist")
}
