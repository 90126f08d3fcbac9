//! Lets the control plane build without Node: a page that says how to build the dashboard stands in for it.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let dist = Path::new("dashboard/dist");
    if !dist.join("index.html").exists() {
        std::fs::create_dir_all(dist)?;
        let page =
            "<!doctype html><title>Purser</title><p>The dashboard is not built in. Run <code>make build</code>.</p>\n";
        std::fs::write(dist.join("index.html"), page)?;
    }
    println!("cargo:rerun-if-changed=dashboard/dist");
    Ok(())
}
