//! Fills in the templates of `templates/`.
//!
//! Owns the syntax: blocks take their whole line away, and the last newline stays.

use minijinja::{Environment, Value, syntax::SyntaxConfig};

use crate::plan::PlanError;

/// A template with its values.
pub(crate) fn render(
    name: &'static str,
    text: &str,
    values: impl Into<Value>,
) -> Result<String, PlanError> {
    fill(text, values.into()).map_err(|error| PlanError::Template {
        template: name,
        message: error.to_string(),
    })
}

fn fill(text: &str, values: Value) -> Result<String, minijinja::Error> {
    environment()?.render_str(text, values)
}

/// What templates are filled in by; whoever has more filters adds them.
pub fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut syntax = SyntaxConfig::builder();
    let syntax = syntax
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()?;
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    Ok(environment)
}
