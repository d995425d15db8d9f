fn main() {
    println!("{}", greeting::greet("member"));
}
