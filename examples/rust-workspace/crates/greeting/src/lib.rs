//! What is said.

/// A greeting.
pub fn greet(name: &str) -> String {
    format!("Hello, {name}, from a workspace")
}
