fn main() {
    println!("Hello from a process of lunatic");
}
