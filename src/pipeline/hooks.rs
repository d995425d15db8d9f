//! The user's commands around the phases: which phase each hook belongs to.
//!
//! `postPackage` is not here: it runs in the finished image.

use packwright_providers::{BuildPlan, Phase};

/// The commands before and after a phase.
fn hooks_of<'p>(plan: &'p BuildPlan, phase: &str) -> (&'p [String], &'p [String]) {
    let Some(hooks) = &plan.hooks else {
        return (&[], &[]);
    };
    let (before, after) = match phase {
        "install" => (&hooks.pre_install, &hooks.post_install),
        "build" => (&hooks.pre_build, &hooks.post_build),
        "test" => (&hooks.pre_test, &hooks.post_test),
        "package" => (&hooks.pre_package, &None),
        _ => (&None, &None),
    };
    (
        before.as_deref().unwrap_or_default(),
        after.as_deref().unwrap_or_default(),
    )
}

/// A phase's commands with the hooks around it.
pub fn commands_of(plan: &BuildPlan, name: &str, phase: &Phase) -> Vec<String> {
    let (before, after) = hooks_of(plan, name);
    let own = phase.cmds.as_deref().unwrap_or_default();
    let all = before.iter().chain(own).chain(after);
    all.filter(|command| !command.trim().is_empty())
        .cloned()
        .collect()
}

/// Gives hooks a phase to hang on where the plan has none: `package` after everything, `install`,
/// `build` and `test` in their order.
pub fn with_phases_for_hooks(mut plan: BuildPlan) -> BuildPlan {
    const ORDER: [&str; 5] = ["setup", "install", "build", "test", "package"];
    for (at, name) in ORDER.into_iter().enumerate() {
        let (before, after) = hooks_of(&plan, name);
        if before.is_empty() && after.is_empty() || plan.phases.contains_key(name) {
            continue;
        }
        let earlier: Vec<String> = match name {
            "package" => plan.phases.keys().cloned().collect(),
            _ => ORDER[..at]
                .iter()
                .filter(|phase| plan.phases.contains_key(**phase))
                .map(ToString::to_string)
                .collect(),
        };
        let phase = Phase {
            depends_on: Some(earlier),
            ..Phase::default()
        };
        plan.phases.insert(name.to_owned(), phase);
        let Some(next) = ORDER
            .get(at + 1)
            .and_then(|next| plan.phases.get_mut(*next))
        else {
            continue;
        };
        next.depends_on
            .get_or_insert_default()
            .push(name.to_owned());
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_without_their_phase_get_one_in_its_order() {
        use packwright_providers::Hooks;
        let mut plan = BuildPlan::default();
        plan.phases.insert("setup".to_owned(), Phase::default());
        plan.phases.insert(
            "build".to_owned(),
            Phase {
                cmds: Some(vec!["b".to_owned()]),
                ..Phase::default()
            },
        );
        let command = |text: &str| Some(vec![text.to_owned()]);
        plan.hooks = Some(Hooks {
            pre_install: command("i"),
            post_build: command("a"),
            pre_package: command("p"),
            ..Hooks::default()
        });
        let plan = with_phases_for_hooks(plan);
        let order = plan.phases_in_order().unwrap();
        let commands: Vec<String> = order
            .into_iter()
            .flat_map(|name| commands_of(&plan, name, &plan.phases[name]))
            .collect();
        assert_eq!(commands, ["i", "b", "a", "p"]);
    }
}
