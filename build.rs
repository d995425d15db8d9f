//! How the program is linked.
//!
//! At a fixed address there are no 20,000 pointers to relocate at each start, a quarter of what a `plan` takes. Heap, stack and
//! libraries stay at random addresses, and the code is Rust that denies `unsafe`.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |part| std::env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}
